"""Let AdaptiveKeep meet its budget on images that are prepared as those that it will see."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mmsparse.models.backbones import SparseViT
from mmsparse.models.necks.adaptive_keep import AdaptiveKeep

ROUNDS = 2  # what a later layer finds depends on the shares of the earlier ones, which the first round has moved


def adaptive(model: nn.Module) -> list[tuple[SparseViT, AdaptiveKeep]]:
    """Return every AdaptiveKeep of a model, with its backbone."""
    backbones = (module for module in model.modules() if isinstance(module, SparseViT))
    return [
        (backbone, part) for backbone in backbones for part in backbone.sparsifiers if isinstance(part, AdaptiveKeep)
    ]


@torch.no_grad()
def calibrate(backbone: SparseViT, part: AdaptiveKeep, batches: Iterable[Tensor]) -> None:
    """Replace the curve by which a part decides in evaluation.

    Args:
        backbone: in evaluation mode.
        part: one of its sparsifiers.
        batches: images B×3×H×W, normalised as the host expects; gone through twice.
    """
    part.observes = True
    try:
        for _ in range(ROUNDS):
            sums = {}
            for images in batches:
                for layer, curve_bs in part.curves(backbone.encode(images)[-1]).items():
                    sums[layer] = sums.get(layer, 0) + curve_bs.double().sum(0)
            for layer, sum_s in sums.items():
                part.kept_ls[part.layers.index(layer)].copy_(sum_s[:-1] / sum_s[-1])
    finally:
        part.observes = False
