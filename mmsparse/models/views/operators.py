"""An affine operator of a host, as views of its parameters: what folding writes to, and what tells adapters their widths."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Operator:
    """One of embed, norm1, q, k, v, proj, norm2, fc1, fc2 and norm. Its tensors share memory with the host's parameters.

    Args:
        weight: out×in of a linear, out×3×p×p of the patch projection, out of a norm.
        bias: out, or None.
        positions: m×out, what the host adds to every row right after it, or None; a constant can move there where there is no bias.
    """

    weight: Tensor
    bias: Tensor | None
    positions: Tensor | None = None

    @property
    def takes_shift(self) -> bool:
        """Whether a constant can be added to its output for good."""
        return self.bias is not None or self.positions is not None

    def scale_shift(self, scale_o: Tensor, shift_o: Tensor) -> None:
        """Let it give ``scale ⊙ y + shift`` from now on; needs `takes_shift`."""
        self.weight.mul_(scale_o.view(-1, *[1] * (self.weight.ndim - 1)))
        if self.bias is None:
            self.positions.add_(shift_o)
        else:
            self.bias.mul_(scale_o).add_(shift_o)
