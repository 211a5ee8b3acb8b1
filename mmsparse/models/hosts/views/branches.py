"""Linear layers of branches that run side by side in a block, as one operator each: adapters ask its shape and merge
into it.

The branches have norms and layer scales of their own. Before anything is added to a matrix they move into it, which
changes no answer: ``W (γ ⊙ h + β) + b = (W diag γ) h + (b + W β)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mmsparse.models.hosts.views.operators import Operator


@dataclass(frozen=True)
class Readers:
    """q, k, v or fc1 of all branches: they read one normed input, outputs stand side by side.

    Args:
        linears: of each branch, whole: q, k and v are rows of one.
        norms: scale and shift of each branch's norm, which the input is yet without.
        rows: which outputs of a linear are meant.
    """

    linears: tuple[Operator, ...]
    norms: tuple[Operator, ...]
    rows: slice

    @property
    def weight(self) -> Tensor:
        """A copy, out×in."""
        return torch.cat([one.weight[self.rows] * norm.weight for one, norm in zip(self.linears, self.norms)])

    @property
    def bias(self) -> Tensor:
        """A copy."""
        pairs = zip(self.linears, self.norms)
        return torch.cat([(one.bias + one.weight @ norm.bias)[self.rows] for one, norm in pairs])

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Operator.shape`, of all branches together."""
        return len(self.linears) * len(self.linears[0].weight[self.rows]), self.linears[0].shape[1]

    takes_shift = True

    def add(self, product_oi: Tensor) -> None:
        """As `Operator.add`."""
        self._take_in_norms()
        for one, own in zip(self.linears, product_oi.chunk(len(self.linears))):
            one.weight[self.rows] += own

    def absorb(self, matrix_ii: Tensor, shift_i: Tensor) -> None:
        """As `Operator.absorb`."""
        self._take_in_norms()
        for one in self.linears:
            replace(one, weight=one.weight[self.rows], bias=one.bias[self.rows]).absorb(matrix_ii, shift_i)

    def scale_shift(self, scale_o: Tensor, shift_o: Tensor | None = None) -> None:
        """As `Operator.scale_shift`."""
        count = len(self.linears)
        shifts = [None] * count if shift_o is None else shift_o.chunk(count)
        for one, scale, shift in zip(self.linears, scale_o.chunk(count), shifts):
            replace(one, weight=one.weight[self.rows], bias=one.bias[self.rows]).scale_shift(scale, shift)

    def _take_in_norms(self) -> None:
        for one, norm in zip(self.linears, self.norms):
            for operator in (one, norm):
                operator.refuse_hooks()
            one.bias.add_(one.weight @ norm.bias)
            one.weight.mul_(norm.weight)
            norm.weight.fill_(1)
            norm.bias.zero_()

    def copied(self) -> Readers:
        """As `Operator.copied`."""
        linears, norms = (tuple(each.copied() for each in some) for some in (self.linears, self.norms))
        return replace(self, linears=linears, norms=norms)


@dataclass(frozen=True)
class Writers:
    """proj or fc2 of all branches: inputs stand side by side, the outputs are summed.

    Args:
        linears: of each branch.
        scales: layer scale behind each of them, or None.
    """

    linears: tuple[Operator, ...]
    scales: tuple[Operator | None, ...]

    @property
    def weight(self) -> Tensor:
        """A copy, out×in."""
        return torch.cat([one.weight * gain.unsqueeze(1) for one, gain in self._gained()], dim=1)

    @property
    def bias(self) -> Tensor:
        """A copy."""
        return sum(one.bias * gain for one, gain in self._gained())

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Operator.shape`, of all branches together."""
        return self.linears[0].shape[0], sum(one.shape[1] for one in self.linears)

    takes_shift = True

    def add(self, product_oi: Tensor) -> None:
        """As `Operator.add`."""
        self._take_in_scales()
        for one, own in zip(self.linears, product_oi.chunk(len(self.linears), dim=1)):
            one.add(own)

    def scale_shift(self, scale_o: Tensor, shift_o: Tensor | None = None) -> None:
        """As `Operator.scale_shift`; the first branch has the shift."""
        self._take_in_scales()
        for place, one in enumerate(self.linears):
            one.scale_shift(scale_o, shift_o if place == 0 else None)

    def copied(self) -> Writers:
        """As `Operator.copied`."""
        scales = (None if scale is None else scale.copied() for scale in self.scales)
        return Writers(tuple(one.copied() for one in self.linears), tuple(scales))

    def _gained(self) -> list[tuple[Operator, Tensor]]:
        pairs = zip(self.linears, self.scales)
        return [(one, torch.ones_like(one.bias) if scale is None else scale.weight) for one, scale in pairs]

    def _take_in_scales(self) -> None:
        for (one, gain), scale in zip(self._gained(), self.scales):
            one.scale_shift(gain)
            if scale is not None:
                scale.refuse_hooks()
                scale.weight.fill_(1)
