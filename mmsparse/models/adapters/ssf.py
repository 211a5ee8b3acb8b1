"""SSF: scale and shift behind every operator, which merge into it (Lian et al., NeurIPS 2022, arXiv 2210.08823)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens

IN_BLOCKS = ('norm1', 'q', 'k', 'v', 'proj', 'norm2', 'fc1', 'fc2')


class ScaleShift(nn.Module):
    """``weight ⊙ y + bias``; weight from N(1, .02²), bias from N(0, .02²), as published."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width).normal_(1.0, 0.02))
        self.bias = nn.Parameter(torch.empty(width).normal_(0.0, 0.02))

    def forward(self, y: Tensor) -> Tensor:
        """Return the type of `y`, whatever that of the parameters: half precision stays half."""
        return (y * self.weight + self.bias).to(y.dtype)


@MODELS.register_module()
class SSF(BaseAdapter):
    """Scale and shift channels after the patch projection, norms, q/k/v, projection, both linears of the FFN, and the
    final norm.

    A host whose tokens get no final norm (it pools first) gets none behind it either. Parameters are vectors: recipes
    give them no weight decay.

    Args:
        view: the host's view.
    """

    identity_at_start = reads_input = False
    token_wise = True
    folds = True  # but where a bias is missing

    def __init__(self, view: View):
        super().__init__()
        sites = [
            (0, 'embed'),
            *((layer, name) for layer in range(1, view.depth + 1) for name in IN_BLOCKS),
            (view.depth, 'norm'),
        ]
        operators = {site: view.operator(*site) for site in sites}
        self.layers = nn.ModuleDict({str(layer): nn.ModuleDict() for layer in range(view.depth + 1)})
        for (layer, name), operator in operators.items():
            if operator is not None:
                self.layers[str(layer)][name] = ScaleShift(operator.shape[0])
        self.sites = tuple(dict.fromkeys(name for parts in self.layers.values() for name in parts))
        fixed = dict.fromkeys(
            name for (_, name), operator in operators.items() if operator is not None and not operator.takes_shift
        )
        self.folds, self.apart = not fixed, f'shifts {", ".join(fixed)}, where this host has no bias to take it'

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Scale and shift the operators' outputs."""
        part = self.layers[str(layer)]
        return part[name](y) if name in part else y

    def fold(self, view: View) -> None:
        """Scale and shift every operator itself."""
        for layer, parts in self.layers.items():
            for name, part in parts.items():
                view.operator(int(layer), name).scale_shift(part.weight, part.bias)
