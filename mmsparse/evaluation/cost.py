"""Two figures that cards, tables and tests ask for."""

from __future__ import annotations

from torch import Tensor, nn

from mmsparse.evaluation.cost_by_layer import run
from mmsparse.evaluation.mac_scopes import OUTSIDE, PROBE, backbones, counting
from mmsparse.evaluation.token_watch import tokens_per_layer


def published_macs(model: nn.Module, images: Tensor, dense: bool = False) -> int:
    """Count the multiply-adds of one forward pass as papers do: all tokens of every block, no probes, fvcore's rule.

    Args:
        model: a SparseViT, or a model that holds one; what it computes in mode 'tensor' is counted, the head included.
        images: B×3×H×W, or clips; values matter only to sparsifiers whose counts depend on the data. Both may be on
            meta.
        dense: leave adapters and sparsifiers out: the frozen host and the head.

    Returns:
        Multiply-adds of the batch; papers print them as FLOPs.
    """
    meter, _ = run(model, images, OUTSIDE, all_rows=True, dense=dense)
    return sum(count.macs for place, count in meter.counts.items() if place.part != PROBE)


def rows_per_layer(model: nn.Module, images: Tensor) -> list[int]:
    """Return how many tokens of an image, or of all frames of a clip, enter each layer's FFN, prefix included."""
    with counting(model, all_rows=True):
        return [t.x_bnc[..., 0].numel() // len(images) for t in tokens_per_layer(backbones(model)[0], images, model)]
