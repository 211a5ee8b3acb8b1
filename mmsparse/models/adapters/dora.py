"""DoRA: LoRA on the direction of every row of a matrix, and a length of its own (Liu et al., ICML 2024, arXiv
2402.09353).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.lora import LoRA
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import without_autocast
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens


@MODELS.register_module()
class DoRA(LoRA):
    """``y ← magnitude ⊙ V x / |V| + b`` with ``V = W + (alpha / rank) · up down`` and |V| the length of each row.

    Magnitudes start as the lengths of the rows of W: nearly the host, to rounding. |V| is a constant to the gradient
    (sec. 4.3). Arguments, starts and errors are LoRA's.
    """

    identity_at_start = False

    def __init__(
        self,
        view: View,
        rank: int = 8,
        alpha: float | None = None,
        targets: Sequence[str] = ('q', 'v'),
        dropout: float = 0.0,
    ):
        super().__init__(view, rank, alpha, targets, dropout)
        self.view, self.reads_weights = view, self.sites
        for layer, pairs in self.layers.items():
            for target, pair in pairs.items():
                pair.magnitude = nn.Parameter(view.operator(int(layer), target).weight.norm(dim=1))

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the low-rank product, and bring the rows to their magnitudes; the host's bias stays as it is."""
        pair, operator = self.layers[str(layer)][name], self.view.operator(layer, name)
        with torch.no_grad(), without_autocast(y.device):
            length_o = self._direction(pair, operator).norm(dim=1)
        gain_o, bias = pair.magnitude / length_o, 0 if operator.bias is None else operator.bias
        return (gain_o * (super().site(name, layer, x, y, t) - bias) + bias).to(y.dtype)

    def fold(self, view: View) -> None:
        """Put magnitude and direction in the place of every matrix."""
        for layer, pairs in self.layers.items():
            for target, pair in pairs.items():
                operator = view.operator(int(layer), target)
                direction_oi = self._direction(pair, operator)
                gain_o1 = (pair.magnitude / direction_oi.norm(dim=1)).unsqueeze(1)
                operator.add(gain_o1 * direction_oi - operator.weight)

    def _direction(self, pair: nn.ModuleDict, operator: Operator | SideBySide) -> Tensor:
        return operator.weight + self.scale * pair['up'].weight @ pair['down'].weight
