"""AdaptFormer: a scaled bottleneck beside each FFN (Chen et al., NeurIPS 2022, arXiv 2205.13535)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import Bottleneck
from mmsparse.models.adapters.narrow_branch import NarrowBranch, NarrowLayer
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_positive


@MODELS.register_module()
class AdaptFormer(BaseAdapter):
    """``y ← y + scale · up(dropout(ReLU(down(x))))`` with y the FFN branch's output and x the residual stream that
    enters it, without norm.

    Down-projections are Kaiming-uniform (a=√5), up-projections and biases zero: the start is the host's function.

    Args:
        view: the host's view.
        bottleneck: hidden width d.
        scale: factor s of the output; the paper's for images is .1, tables on VTAB-1K use 1.
        dropout: probability, after the ReLU, in training.

    Raises:
        InputError: a width below 1, a scale that is no finite number above 0, a probability outside [0, 1).
    """

    sites, reads_input = ('mlp',), False
    token_wise = True

    def __init__(self, view: View, bottleneck: int = 64, scale: float = 0.1, dropout: float = 0.1):
        super().__init__()
        name, self.scale = type(self).__name__, scale
        check_positive(f'{name}: received scale', scale, 0.1)
        # A linear's own initialisation is that of the down-projection.
        self.layers = nn.ModuleDict(
            {str(i): Bottleneck(name, view.width, bottleneck, nn.ReLU(), dropout) for i in range(1, view.depth + 1)}
        )
        for part in self.layers.values():
            nn.init.zeros_(part.up.weight)

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the bottleneck of the residual stream, all tokens, also those that skip the FFN."""
        return y + self.scale * self.layers[str(layer)](t.x_bnc)

    def for_testing(self) -> NarrowBranch:
        """Return it with scale and bias in the up-projection, which adds to the FFN's output as it multiplies."""
        return NarrowBranch([self._narrow(part.down, part.up) for part in self.layers.values()])

    def _narrow(self, down: nn.Linear, up: nn.Linear) -> NarrowLayer:
        constant = down.weight.new_zeros(1, down.in_features)
        into_hc = torch.cat([down.weight, constant])
        shift_h = torch.cat([down.bias, down.bias.new_ones(1)])
        out_ch = self.scale * torch.cat([up.weight, up.bias.unsqueeze(1)], dim=1).double()
        return NarrowLayer(into_hc, shift_h, out_ch, (), None, down.weight)
