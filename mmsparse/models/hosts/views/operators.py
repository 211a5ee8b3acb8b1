"""An affine layer of a host (linear, norm, patch projection) by its tensors: merging writes to them, adapters ask
their widths."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError

HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')
NO_PLACE = (
    'a shift for an operator with neither bias nor positions. Ask takes_shift first, and let the adapter say '
    'folds=False where it is not so.'
)


def hooked(module: nn.Module) -> bool:
    """Tell whether a user watches or changes what a module does; then it has to be called."""
    return 'forward' in vars(module) or any(getattr(module, hooks) for hooks in HOOKS)


def is_plain(module: nn.Module) -> bool:
    """Tell whether a module is only its weight and bias: no adapter, quantisation, parametrization or hook."""
    return type(module) is nn.Linear and type(module.weight) in (nn.Parameter, Tensor) and not hooked(module)


@dataclass(frozen=True)
class Operator:
    """One of embed, norm1, q, k, v, proj, norm2, fc1, fc2 and norm. Its tensors share memory with the host's
    parameters.

    Args:
        weight: out×in of a linear, out×3×p×p of the patch projection, out of a norm.
        bias: out, or None.
        positions: m×out, what the host adds to every row right after it, or None; a constant can move there where
            there is no bias.
        module: whose parameters these are; one with hooks is not written to.
        key: of the parameter that the weight is, or is rows of, in the block (in the host for embed and norm).
        first: row of that parameter where the weight begins.
    """

    weight: Tensor
    bias: Tensor | None
    positions: Tensor | None = None
    module: nn.Module | None = None
    key: str = ''
    first: int = 0

    @property
    def parts(self) -> tuple[Operator, ...]:
        """Itself; see `SideBySide`."""
        return (self,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight: channels that come out, channels that go in."""
        return tuple(self.weight.shape)

    @property
    def takes_shift(self) -> bool:
        """Whether a constant can be added to its output for good."""
        return self.bias is not None or self.positions is not None

    def add(self, product_oi: Tensor) -> None:
        """Add a matrix to the weight of a linear."""
        self.refuse_hooks()
        self.weight.add_(product_oi)

    def put(self, weight_oi: Tensor) -> None:
        """Replace the weight of a linear."""
        self.refuse_hooks()
        self.weight.copy_(weight_oi)

    def scale_shift(self, scale_o: Tensor, shift_o: Tensor | None = None) -> None:
        """Let it give ``scale ⊙ y + shift`` from now on.

        Args:
            scale_o: factor of every output channel.
            shift_o: what is added to it, or None; needs `takes_shift`.

        Raises:
            InputError: a shift, and nothing that takes it.
        """
        if shift_o is not None and not self.takes_shift:
            raise InputError(f'Operator.scale_shift: received {NO_PLACE}')
        self.refuse_hooks()
        self.weight.mul_(scale_o.view(-1, *[1] * (self.weight.ndim - 1)))
        if self.bias is not None:
            self.bias.mul_(scale_o)
        if shift_o is not None:
            (self.positions if self.bias is None else self.bias).add_(shift_o)

    def absorb(self, matrix_ii: Tensor, shift_i: Tensor) -> None:
        """Let a linear see ``matrix @ x + shift`` where it saw x, from now on; needs a bias.

        Args:
            matrix_ii: square, of the channels that go in.
            shift_i: what is added to each of them.

        Raises:
            InputError: it has no bias to take the shift.
        """
        if self.bias is None:
            raise InputError(f'Operator.absorb: received {NO_PLACE}')
        self.refuse_hooks()
        self.bias.add_(self.weight @ shift_i)
        self.weight.copy_(self.weight @ matrix_ii)

    def divided(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the rows of each part."""
        return (rows,)

    def copied(self) -> Operator:
        """Return one whose tensors are copies."""
        own = ((name, getattr(self, name)) for name in ('weight', 'bias', 'positions'))
        return replace(self, **{name: None if value is None else value.clone() for name, value in own})

    def refuse_hooks(self) -> None:
        """Refuse to write to what a user watches or changes."""
        if self.module is not None and hooked(self.module):
            raise InputError(
                f'a {type(self.module).__name__} of the host has hooks or a forward of its own, which would act on '
                'other numbers once an adapter has merged into its weight. Remove them before merging.'
            )


@dataclass(frozen=True)
class SideBySide:
    """Operators on one input whose outputs stand side by side, such as gate and value of an FFN.

    Adapters use it as one `Operator`; its weight is not one tensor.

    Args:
        parts: in the order of their outputs.
    """

    parts: tuple[Operator, ...]

    @property
    def weight(self) -> Tensor:
        """A copy of all weights, out×in."""
        return torch.cat([part.weight for part in self.parts])

    @property
    def bias(self) -> Tensor | None:
        """A copy of all biases, or None."""
        return None if self.parts[0].bias is None else torch.cat([part.bias for part in self.parts])

    @property
    def shape(self) -> tuple[int, ...]:
        """As `Operator.shape`, of all parts together."""
        return sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:]

    @property
    def takes_shift(self) -> bool:
        """As `Operator.takes_shift`."""
        return all(part.takes_shift for part in self.parts)

    def add(self, product_oi: Tensor) -> None:
        """As `Operator.add`."""
        for part, own in zip(self.parts, self.divided(product_oi)):
            part.add(own)

    def put(self, weight_oi: Tensor) -> None:
        """As `Operator.put`."""
        for part, own in zip(self.parts, self.divided(weight_oi)):
            part.put(own)

    def scale_shift(self, scale_o: Tensor, shift_o: Tensor | None = None) -> None:
        """As `Operator.scale_shift`."""
        shifts = [None] * len(self.parts) if shift_o is None else self.divided(shift_o)
        for part, scale, shift in zip(self.parts, self.divided(scale_o), shifts):
            part.scale_shift(scale, shift)

    def absorb(self, matrix_ii: Tensor, shift_i: Tensor) -> None:
        """As `Operator.absorb`."""
        for part in self.parts:
            part.absorb(matrix_ii, shift_i)

    def divided(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the rows of each part."""
        return rows.split([part.shape[0] for part in self.parts])

    def copied(self) -> SideBySide:
        """As `Operator.copied`."""
        return SideBySide(tuple(part.copied() for part in self.parts))
