"""Adapter+: a bottleneck behind each block, with a factor per channel (Steitz & Roth, CVPR 2024, arXiv 2406.06820)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import Bottleneck
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_dropout

STD = 0.01


@MODELS.register_module()
class AdapterPlus(BaseAdapter):
    """``x ← x + scale ⊙ droppath(up(GELU(down(x))))`` on what leaves a block, its residual sum ('Post-Adapter').

    Weights are drawn from a normal of std .01, cut at two of them, and every scale is 1: nearly the host at the start.

    Args:
        view: the host's view.
        bottleneck: hidden width r.
        drop_path: probability that an image goes without this block's adapter, in training.

    Raises:
        InputError: a width below 1, a probability outside [0, 1).
    """

    sites = ('block',)
    identity_at_start = False
    token_wise = True

    def __init__(self, view: View, bottleneck: int = 8, drop_path: float = 0.1):
        super().__init__()
        check_dropout('AdapterPlus: drop_path', drop_path)
        self.drop_path = nn.Dropout(drop_path)
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            part = Bottleneck('AdapterPlus', view.width, bottleneck, nn.GELU())
            part.scale = nn.Parameter(torch.ones(view.width))
            for linear in (part.down, part.up):
                nn.init.trunc_normal_(linear.weight, std=STD, a=-2 * STD, b=2 * STD)
            self.layers[str(layer)] = part

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the scaled bottleneck of the block's output."""
        part, keep_b11 = self.layers[str(layer)], self.drop_path(y.new_ones(len(y), 1, 1))
        return y + (part.scale * keep_b11 * part(y)).to(y.dtype)
