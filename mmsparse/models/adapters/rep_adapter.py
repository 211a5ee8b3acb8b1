"""RepAdapter: a linear bottleneck in front of attention and FFN, which merges into what reads it (Luo et al., Towards
Efficient Visual Adaption via Structural Re-parameterization, 2023, arXiv 2302.08106).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count, check_dropout, check_positive

READERS = {'norm1': ('q', 'k', 'v'), 'norm2': ('fc1',)}


class GroupedLinear(nn.Module):
    """A linear whose outputs and inputs are divided into groups; a group of outputs reads its group of inputs alone.

    Weight out×(in / groups), bias out, both zero.
    """

    def __init__(self, width_in: int, width_out: int, groups: int):
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(width_out, width_in // groups))
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return B×N×out of B×N×in."""
        weight_goi = self.weight.unflatten(0, (self.groups, -1))
        y = torch.einsum('bngi,goi->bngo', x.unflatten(-1, (self.groups, -1)), weight_goi).flatten(-2)
        return y + self.bias

    def matrix(self) -> Tensor:
        """The weight of the plain linear that does the same, out×in: a block for each group, zeros elsewhere."""
        return torch.block_diag(*self.weight.chunk(self.groups))


@MODELS.register_module()
class RepAdapter(BaseAdapter):
    """``h ← h + scale · up(dropout(down(h)))`` with h the norm in front of attention and of the FFN, `up` in groups.

    Down-projections start Xavier-uniform, up-projections and biases at zero: the host's function is the starting
    point. Without an activation it is one matrix and a shift, which merge into q, k, v and fc1 (sec. 3.2) where these
    have biases.

    Args:
        view: the host's view.
        bottleneck: hidden width d.
        groups: groups of the up-projection (sec. 3.3); a divisor of `bottleneck` and of the host's width.
        scale: factor s; published per task, .1 to 10.
        dropout: probability, before the up-projection, in training.

    Raises:
        InputError: a width or number of groups below 1, groups that divide none of both, a scale that is no finite
            number above 0, a probability outside [0, 1).
    """

    sites, reads_input = tuple(READERS), False
    token_wise = True
    folds = True  # but where a bias is missing

    def __init__(self, view: View, bottleneck: int = 8, groups: int = 2, scale: float = 1.0, dropout: float = 0.1):
        super().__init__()
        check_count('RepAdapter: received bottleneck', bottleneck, 8)
        check_count('RepAdapter: received groups', groups, 2)
        check_positive('RepAdapter: received scale', scale, 1.0)
        check_dropout('RepAdapter', dropout)
        if bottleneck % groups or view.width % groups:
            raise InputError(
                f'RepAdapter: received groups={groups}, expected a divisor of bottleneck={bottleneck} and of the '
                f'{view.width} channels of {view.name}, such as 2 of 8.'
            )
        self.scale, self.dropout, self.layers = scale, nn.Dropout(dropout), nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            self.layers[str(layer)] = nn.ModuleDict(
                {name: _bottleneck(view.width, bottleneck, groups) for name in READERS}
            )
        readers = [(layer, name) for layer in range(1, view.depth + 1) for names in READERS.values() for name in names]
        fixed = dict.fromkeys(name for layer, name in readers if view.operator(layer, name).bias is None)
        self.folds = not fixed
        self.apart = f'shifts the input of {", ".join(fixed)}, where this host has no bias to take it'

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the bottleneck of the norm's output to it."""
        part = self.layers[str(layer)][name]
        return y + self.scale * part['up'](self.dropout(part['down'](y)))

    def fold(self, view: View) -> None:
        """Let what reads the norms see them as the bottleneck gives them."""
        for layer, parts in self.layers.items():
            for name, part in parts.items():
                up_cd, down = part['up'].matrix(), part['down']
                product_cc = self.scale * up_cd @ down.weight
                identity_cc = torch.eye(len(product_cc), dtype=product_cc.dtype, device=product_cc.device)
                shift_c = self.scale * (up_cd @ down.bias + part['up'].bias)
                for reader in READERS[name]:
                    view.operator(int(layer), reader).absorb(identity_cc + product_cc, shift_c)


def _bottleneck(width: int, hidden: int, groups: int) -> nn.ModuleDict:
    part = nn.ModuleDict({'down': nn.Linear(width, hidden), 'up': GroupedLinear(hidden, width, groups)})
    nn.init.xavier_uniform_(part['down'].weight)
    nn.init.zeros_(part['down'].bias)
    return part
