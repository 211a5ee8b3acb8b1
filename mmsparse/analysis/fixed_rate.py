"""Make DyT's dispatchers execute the rate that they name: untrained ones choose whatever their random weights say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from mmsparse.evaluation.mac_scopes import backbones
from mmsparse.models.necks.dyt import DyTDispatcher
from mmsparse.structures import Plan


def hold_rate(model: nn.Module, images: Tensor) -> float | None:
    """Shift every dispatcher's bias so that just `rate` of these images' patches (rounded) enters its layer's FFN.

    Only weights change: what runs afterwards is the ordinary path, and for other images the share is near the rate,
    not at it.

    Args:
        model: in evaluation mode; holds a SparseViT.
        images: B×3×H×W, normalised as the host expects.

    Returns:
        The share that these images execute afterwards, mean over layers; None where the model has no DyTDispatcher.
    """
    parts = [module for module in model.modules() if isinstance(module, DyTDispatcher)]
    if not parts:
        return None
    backbone = backbones(model)[0]
    hooks = [
        linear.register_forward_hook(partial(_shift, part.rate))
        for part in parts
        for linear in part.dispatchers.values()
    ]
    with torch.no_grad():
        try:
            backbone.encode(images)
        finally:
            for hook in hooks:
                hook.remove()
        tokens = backbone.encode(images)[-1]
    return float(torch.stack([part.report(tokens)['ffn_rate'].mean() for part in parts]).mean())


def _shift(rate: float, linear: nn.Linear, inputs: tuple, logit_bm1: Tensor) -> Tensor:
    """A forward hook: move the threshold between the last active and the first inactive patch."""
    falling = logit_bm1.flatten().sort(descending=True).values
    active = round(rate * len(falling))
    edges = torch.cat([falling[:1] + 1, falling, falling[-1:] - 1])
    threshold = (edges[active] + edges[active + 1]) / 2
    linear.bias -= threshold
    return logit_bm1 - threshold


def on_all_rows(plan: Callable[..., Plan]) -> Callable[..., Plan]:
    """Let a dispatcher decide and run the FFN on all rows: which ones it chooses depends on trained weights."""
    return lambda *args: replace(plan(*args), ffn_bn=None)
