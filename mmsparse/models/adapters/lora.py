"""LoRA: a low-rank sum to linear layers, which merges into them (Hu et al., ICLR 2022, arXiv 2106.09685)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_choices, check_count, check_dropout, check_positive

TARGETS = ('q', 'k', 'v', 'proj', 'fc1', 'fc2')


@MODELS.register_module()
class LoRA(BaseAdapter):
    """``y ← W x + b + (alpha / rank) · up(down(dropout(x)))``, also for q, k and v inside one fused matrix, each with
    a pair of its own.

    Down-projections are Kaiming-uniform (a=√5), up-projections zero; no biases.

    Args:
        view: the host's view.
        rank: r, from 1 to the smaller side of every matrix it is added to.
        alpha: numerator of the scale; None: the rank, so that the scale is 1.
        targets: which of q, k, v, proj, fc1 and fc2; the paper's choice is q and v.
        dropout: probability, on the way into the down-projection, in training.

    Raises:
        InputError: an unknown target or one named twice, a rank that is no rank of these matrices, an alpha that is no
            finite number above 0, a probability outside [0, 1).
    """

    folds = token_wise = True

    def __init__(
        self,
        view: View,
        rank: int = 8,
        alpha: float | None = None,
        targets: Sequence[str] = ('q', 'v'),
        dropout: float = 0.0,
    ):
        super().__init__()
        name = type(self).__name__
        check_count(f'{name}: received rank', rank, 8)
        alpha = rank if alpha is None else alpha
        check_positive(f'{name}: received alpha', alpha, 16)
        check_choices(f'{name}: received targets', targets, TARGETS, ('q', 'v'))
        check_dropout(name, dropout)
        self.rank, self.alpha, self.targets = rank, alpha, tuple(targets)
        self.sites = self.targets
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            self.layers[str(layer)] = nn.ModuleDict(
                {target: _pair(name, view, layer, target, rank) for target in targets}
            )

    @property
    def scale(self) -> float:
        """Factor of every low-rank product."""
        return self.alpha / self.rank

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the low-rank product to the outputs of the targets."""
        pair = self.layers[str(layer)][name]
        return y + self.scale * pair['up'](pair['down'](self.dropout(x)))

    def fold(self, view: View) -> None:
        """Add every product to the matrix that it belongs to."""
        for layer, pairs in self.layers.items():
            for target, pair in pairs.items():
                view.operator(int(layer), target).add(self.scale * pair['up'].weight @ pair['down'].weight)


def _pair(name: str, view: View, layer: int, target: str, rank: int) -> nn.ModuleDict:
    width_out, width_in = view.operator(layer, target).shape
    if rank > min(width_in, width_out):
        raise InputError(
            f'{name}: received rank={rank}, but {target} in layer {layer} of {view.name} is a matrix of '
            f'{width_out}×{width_in}, of rank {min(width_in, width_out)} at most. Choose a smaller rank, such as 8, '
            'or train the matrix with mmsparse.FullTuning.'
        )
    pair = nn.ModuleDict({'down': nn.Linear(width_in, rank, bias=False), 'up': nn.Linear(rank, width_out, bias=False)})
    nn.init.zeros_(pair['up'].weight)  # a linear's own initialisation is that of the down-projection
    return pair
