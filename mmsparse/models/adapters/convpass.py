"""ConvPass: a convolution over the patch grid beside each branch (Jie & Deng, 2022, arXiv 2207.07039)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import quick_gelu
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, pour, restore
from mmsparse.utils.value_checks import check_choices, check_count, check_dropout, check_positive, check_word

PLACES = ('attn', 'mlp')
STARTS = {'identity': nn.init.dirac_, 'xavier': nn.init.xavier_uniform_}


class ConvBottleneck(nn.Module):
    """``up(dropout(g(conv(g(down(h))))))`` with g QuickGELU, z·σ(1.702 z), and conv 3×3 over the patch grid.

    A token of the prefix is an image of one pixel. One that stands for several patches lies on all of them, and gets
    the mean of what the convolution gives there; where no token stands, there are zeros.
    """

    def __init__(self, width: int, bottleneck: int, dropout: float, conv_init: str):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.conv, self.dropout = nn.Conv2d(bottleneck, bottleneck, 3, padding=1), nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.zeros_(self.up.weight)
        STARTS[conv_init](self.conv.weight)
        for part in (self.down, self.conv, self.up):
            nn.init.zeros_(part.bias)

    def forward(self, h_bnc: Tensor, t: Tokens) -> Tensor:
        """Return B×N×C for the tokens of `t`, given their norm."""
        z_bnd = quick_gelu(self.down(h_bnc))
        out_bnd = F.linear(z_bnd[:, : t.prefix], self.conv.weight[:, :, 1, 1], self.conv.bias)
        if t.patches:
            conv_bmd = self.conv(restore(replace(t, x_bnc=z_bnd))).flatten(2).transpose(1, 2)
            conv_bmd = conv_bmd.reshape(len(z_bnd), -1, z_bnd.shape[2])  # a joined clip has several maps
            out_bnd = torch.cat([out_bnd, pour(t, conv_bmd)[:, t.prefix :]], 1)
        return self.up(self.dropout(quick_gelu(out_bnd)))


@MODELS.register_module()
class ConvPass(BaseAdapter):
    """``y ← y + scale · up(dropout(g(conv(g(down(h))))))`` with y a branch's output and h the norm that enters it.

    Down-projections are Xavier-uniform, up-projections and biases zero: the host's function is the starting point.

    Args:
        view: the host's view.
        bottleneck: channels d of the convolution.
        scale: factor s of the output; published per task, .01 to 100.
        dropout: probability, before the up-projection, in training.
        places: beside which branches: ('attn', 'mlp'), or ('attn',), the paper's cheaper form.
        conv_init: how the convolution starts, published per task: 'identity' or 'xavier' (uniform).

    Raises:
        InputError: a width below 1, a scale that is no finite number above 0, a probability outside [0, 1), an unknown
            place or one named twice, an unknown start.
    """

    def __init__(
        self,
        view: View,
        bottleneck: int = 8,
        scale: float = 0.1,
        dropout: float = 0.1,
        places: Sequence[str] = PLACES,
        conv_init: str = 'identity',
    ):
        super().__init__()
        check_count('ConvPass: received bottleneck', bottleneck, 8)
        check_positive('ConvPass: received scale', scale, 0.1)
        check_dropout('ConvPass', dropout)
        check_choices('ConvPass: received places', places, PLACES, PLACES)
        check_word('ConvPass: received conv_init', conv_init, tuple(STARTS))
        self.scale, self.sites = scale, tuple(places)
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            parts = {place: ConvBottleneck(view.width, bottleneck, dropout, conv_init) for place in places}
            self.layers[str(layer)] = nn.ModuleDict(parts)

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add what the convolution makes of the branch's normed input."""
        return y + self.scale * self.layers[str(layer)][name](x, t)
