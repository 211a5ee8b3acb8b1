"""Multiply-adds as the literature prints them, traced from the network that runs.

The rule is fvcore's: a multiply-add counts 1, LayerNorm 5 per element, softmax, GELU, sums and gathers nothing. Attention counts
whatever kernel runs, all rows of every block are computed, and a sparsifier's probe is left out by its scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmsparse.models.backbones import SparseViT
from mmsparse.models.scores import Score
from mmsparse.models.watch import tokens_per_layer


def published_macs(model: nn.Module, images: Tensor, dense: bool = False) -> int:
    """Count the multiply-adds of one forward pass.

    Args:
        model: a SparseViT, or a model that holds one; what it computes in mode 'tensor' is counted, the head included.
        images: B×3×H×W; values matter only to sparsifiers whose counts depend on the data.
        dense: leave adapters and sparsifiers out: the frozen host and the head.

    Returns:
        Multiply-adds of the batch; papers print them as FLOPs.
    """
    from fvcore.nn import FlopCountAnalysis

    with _counting(model, dense), torch.no_grad():
        count = FlopCountAnalysis(model, images).set_op_handle('aten::scaled_dot_product_attention', _attention_macs)
        count.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings('none')
        scopes = count.by_module()
    probes = [name for name, module in model.named_modules() if isinstance(module, Score)]
    return int(scopes[''] - sum(scopes[name] for name in probes))


def rows_per_layer(model: nn.Module, images: Tensor) -> list[int]:
    """Return the rows that enter each layer's FFN, class token included."""
    with _counting(model, dense=False):
        return [t.x_bnc.shape[1] for t in tokens_per_layer(_backbone(model), images)]


@contextmanager
def _counting(model: nn.Module, dense: bool) -> Iterator[None]:
    """Evaluation mode, all rows; everything as it was afterwards."""
    backbone = _backbone(model)
    encoder, modes, shortcut = backbone.encoder, {module: module.training for module in model.modules()}, backbone.shortcut
    adapters, sparsifiers = encoder.adapters, encoder.sparsifiers
    try:
        model.eval()
        backbone.shortcut = False
        encoder.adapters, encoder.sparsifiers = ((), ()) if dense else (adapters, sparsifiers)
        yield
    finally:
        encoder.adapters, encoder.sparsifiers, backbone.shortcut = adapters, sparsifiers, shortcut
        for module, mode in modes.items():
            module.training = mode


def _backbone(model: nn.Module) -> SparseViT:
    return next(module for module in model.modules() if isinstance(module, SparseViT))


def _attention_macs(inputs: list, outputs: list) -> int:
    """q·kᵀ and the product with v; fvcore has no rule for the fused kernel and would count it as nothing."""
    q, k, v = (value.type().sizes() for value in inputs[:3])
    return q[0] * q[1] * q[2] * k[2] * (q[3] + v[3])
