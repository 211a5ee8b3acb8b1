"""Res-Tuning-Bypass: tuners beside the frozen network, none inside (Jiang et al., NeurIPS 2023, arXiv 2310.19859)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import Bottleneck
from mmsparse.models.hosts.views.view import View
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens


@MODELS.register_module()
class ResTuningBypass(BaseAdapter):
    """``b_l = T_lateral(x_l) + T_vertical(b_{l-1})``, with ``T(u) = u + up(GELU(down(u)))``: a stream of its own.

    x_l is what leaves block l, b_0 what enters the first; b_L goes to the final norm in the place of x_L. Nothing of
    it flows back into the blocks, so that training keeps none of their activations and computes no gradient in them,
    unless something else that stands before it trains there. b rides in the carry: plans move it with the tokens. The
    two terms weigh 1 and 1, as in the authors' code; the paper has λ and 1 − λ. Weights start Xavier-uniform, biases
    normal of std 1e-6.

    Args:
        view: the host's view.
        bottleneck: hidden width of every tuner, two for a block.

    Raises:
        InputError: a width below 1.
    """

    sites = ('norm1', 'block')
    identity_at_start = False
    token_wise = True
    _numbers = itertools.count()

    def __init__(self, view: View, bottleneck: int = 10):
        super().__init__()
        self.depth, self.key = view.depth, f'res_tuning_bypass.{next(self._numbers)}'  # two in a list keep apart
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            tuners = {
                name: Bottleneck('ResTuningBypass', view.width, bottleneck, nn.GELU())
                for name in ('lateral', 'vertical')
            }
            self.layers[str(layer)] = nn.ModuleDict(tuners)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                module.start_xavier()

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor | SiteOutput:
        """Remember what enters the first block; beside every block go on with the stream, and end in it."""
        if name == 'norm1':
            return SiteOutput(y, {self.key: x}) if layer == 1 else y
        part, b_bnc = self.layers[str(layer)], t.carry[self.key]
        b_bnc = y + part['lateral'](y) + b_bnc + part['vertical'](b_bnc)
        return SiteOutput(b_bnc, {self.key: None}) if layer == self.depth else SiteOutput(y, {self.key: b_bnc})
