"""FacT: all linears share two projections, each has a small core (Jie & Deng, AAAI 2023, arXiv 2212.03145).

Every matrix is a grid of D×D slices (4 in each linear of ViT's FFN; the last is cut where the width is no multiple).
Slice i gets the increment ``scale · V Σ_i U`` with U r×D and V D×r the same everywhere; the two forms differ in what
Σ_i, r×r, is made of.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count, check_dropout, check_positive

TARGETS = ('q', 'k', 'v', 'proj', 'fc1', 'fc2')


class FacT(BaseAdapter):
    """What both forms share: ``y ← W x + b + scale · V dropout(Σ U x)``, slice by slice, in a block's six linears.

    U starts as a linear does (Kaiming-uniform, a=√5), V at zero; no biases.

    Args:
        view: the host's view.
        rank: r, from 1 to the host's width.
        scale: factor s; published per task, .01 to 100.
        dropout: probability, between Σ and V, in training.

    Raises:
        InputError: a rank below 1 or above the width, a scale that is no finite number above 0, a probability outside
            [0, 1).
    """

    folds = True
    sites = TARGETS
    token_wise = True

    def __init__(self, view: View, rank: int, scale: float, dropout: float):
        super().__init__()
        name, self.rank, self.scale, self.width = type(self).__name__, rank, scale, view.width
        check_count(f'{name}: received rank', rank, 16)
        check_positive(f'{name}: received scale', scale, 0.1)
        check_dropout(name, dropout)
        if rank > view.width:
            raise InputError(
                f'{name}: received rank={rank}, but the slices of {view.name} are {view.width}×{view.width}, of rank '
                f'{view.width} at most. Choose a smaller rank, such as 16.'
            )
        self.down, self.up = nn.Linear(view.width, rank, bias=False), nn.Linear(rank, view.width, bias=False)
        nn.init.zeros_(self.up.weight)
        self.dropout = nn.Dropout(dropout)
        self.slices = {}  # of every matrix: of what comes out, of what goes in
        for place in itertools.product(range(1, view.depth + 1), TARGETS):
            self.slices[place] = tuple(math.ceil(width / view.width) for width in view.operator(*place).shape)

    @abstractmethod
    def core(self, layer: int, target: str) -> Tensor:
        """Return Σ of all slices of a matrix, (slices out · r)×(slices in · r)."""

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the increments of the operator's slices."""
        rows, columns = self.slices[layer, name]
        x = F.pad(x, (0, columns * self.width - x.shape[-1]))
        z = self.down(x.unflatten(-1, (columns, self.width))).flatten(-2)
        z = self.dropout(F.linear(z, self.core(layer, name)))
        z = self.up(z.unflatten(-1, (rows, self.rank))).flatten(-2)
        return y + self.scale * z[..., : y.shape[-1]]

    def fold(self, view: View) -> None:
        """Add every increment to the slice that it belongs to."""
        for (layer, target), (rows, columns) in self.slices.items():
            core_orip = self.core(layer, target).view(rows, self.rank, columns, self.rank)
            product = torch.einsum('dr,orip,pe->odie', self.up.weight, core_orip, self.down.weight)
            operator = view.operator(layer, target)
            width_out, width_in = operator.shape
            product = product.reshape(rows * self.width, columns * self.width)[:width_out, :width_in]
            operator.add(self.scale * product)


@MODELS.register_module()
class FacTTT(FacT):
    """FacT-TT, a tensor train: every slice has a Σ of its own, which starts as a linear does. See `FacT`."""

    def __init__(self, view: View, rank: int = 16, scale: float = 1.0, dropout: float = 0.1):
        super().__init__(view, rank, scale, dropout)
        self.layers = nn.ModuleDict({str(layer): nn.ModuleDict() for layer in range(1, view.depth + 1)})
        for (layer, target), (rows, columns) in self.slices.items():
            self.layers[str(layer)][target] = nn.Linear(columns * rank, rows * rank, bias=False)

    def core(self, layer: int, target: str) -> Tensor:
        """The weight of the matrix's own linear."""
        return self.layers[str(layer)][target].weight


@MODELS.register_module()
class FacTTK(FacT):
    """FacT-TK, a Tucker decomposition: ``Σ_i = Σ_k P[k, i] C[:, :, k]``, C r×r×r and P r×slices. See `FacT`.

    C and P start Xavier-uniform. Slices are counted by layer, then as in TARGETS, outputs before inputs.
    """

    def __init__(self, view: View, rank: int = 32, scale: float = 0.1, dropout: float = 0.1):
        super().__init__(view, rank, scale, dropout)
        ends = list(itertools.accumulate(rows * columns for rows, columns in self.slices.values()))
        self.columns = dict(zip(self.slices, zip([0, *ends], ends)))
        self.C = nn.Parameter(torch.empty(rank, rank, rank))
        self.P = nn.Parameter(torch.empty(rank, ends[-1]))
        nn.init.xavier_uniform_(self.C)
        nn.init.xavier_uniform_(self.P)

    def core(self, layer: int, target: str) -> Tensor:
        """The slices' own mixtures of C."""
        (rows, columns), (start, end) = self.slices[layer, target], self.columns[layer, target]
        sigma_iof = torch.tensordot(self.C, self.P[:, start:end], 1)
        core = sigma_iof.unflatten(2, (rows, columns)).permute(2, 1, 3, 0)
        return core.reshape(rows * self.rank, columns * self.rank)
