"""Adapter: a bottleneck with its own residual behind a branch (Houlsby et al., ICML 2019, arXiv 1902.00751)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import Bottleneck
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_choices

PLACES = ('attn', 'mlp')
STD = 1e-3


@MODELS.register_module()
class Adapter(BaseAdapter):
    """``y ← y + up(GELU(down(y)))`` on the output of a branch, before the block's residual sum.

    Weights are drawn from a normal of std 1e-3, cut at two of them: nearly the identity at the start, not exactly. Of
    the paper's other trained parts, the LayerNorms stay frozen, as in every comparison on Vision Transformers.

    Args:
        view: the host's view.
        bottleneck: hidden width d.
        places: which branches: ('mlp',), one per block, as the ViT tables have it, or ('attn', 'mlp'), two per block,
            as the paper.

    Raises:
        InputError: a width below 1, an unknown place or one named twice.
    """

    identity_at_start = reads_input = False
    token_wise = True

    def __init__(self, view: View, bottleneck: int = 64, places: Sequence[str] = ('mlp',)):
        super().__init__()
        check_choices('Adapter: received places', places, PLACES, ('mlp',))
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            self.layers[str(layer)] = nn.ModuleDict(
                {place: Bottleneck('Adapter', view.width, bottleneck, nn.GELU()) for place in places}
            )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=STD, a=-2 * STD, b=2 * STD)
        self.sites = tuple(places)

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the bottleneck of the branch's own output."""
        return y + self.layers[str(layer)][name](y)
