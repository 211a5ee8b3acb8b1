"""The rows of one image between two operators, and what a sparsifier may decide about them: an explicit matrix S
(N'×N), x ← S x.
"""

from dataclasses import dataclass, field

import torch

from .parts import Look


@dataclass
class Decision:
    """matrix: S or None. back: all rows that have left come back, as they were. edited: the rows that S reads, if the
    method edits them. active, alive: 1 or 0 per row after S. margin: how close a call.
    """

    matrix: torch.Tensor | None = None
    edited: torch.Tensor | None = None
    active: list | None = None
    alive: list | None = None
    margin: float = float('inf')
    back: bool = False


@dataclass
class Step:
    """One reduction: rows before it (not edited) and after it, and its S."""

    before: torch.Tensor
    after: torch.Tensor
    matrix: torch.Tensor


@dataclass
class Sequence:
    """x: N×C. sources: row of each original patch, -1 if it is gone. sizes: patches behind each row, 1 in the prefix.

    alive, active: 1 or 0 per row: seen by others, enters the next FFN; None: all. look: the attention of this layer,
        None before it.
    left: by patch, the row that stood for it when it left, and its place. returned: those that have just come back.
    added: what the last FFN added to each row. entered: how many rows entered the FFN, by layer.
    """

    item: int
    x: torch.Tensor
    prefix: int
    sources: list
    sizes: list
    alive: list | None = None
    active: list | None = None
    look: Look | None = None
    added: torch.Tensor | None = None
    entered: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    left: dict = field(default_factory=dict)
    returned: dict = field(default_factory=dict)
    margin: float = float('inf')

    def follow(self, decision):
        """Execute a decision; returns S, or None where the rows stay."""
        self.margin = min(self.margin, decision.margin)
        matrix = self.brought_back() if decision.back else decision.matrix
        if decision.back:
            self.look = None
        elif matrix is not None:
            before = self.x
            self.x = matrix @ (before if decision.edited is None else decision.edited)
            self.steps.append(Step(before, self.x, matrix))
            self.added = None if self.added is None else matrix @ self.added
            sources = self.sources
            self.sources, self.sizes = moved(self.sources, self.sizes, matrix, self.prefix)
            for patch, (old, new) in enumerate(zip(sources, self.sources)):
                if old >= 0 > new:
                    self.left[patch] = dict(x=before[old], row=old)
            self.look = None  # it speaks of other rows
        self.active = decision.active or self.active
        if decision.alive is not None:  # a dead row stays, but no patch is restored from it
            self.alive = decision.alive
            self.steps.append(Step(self.x, self.x, torch.diag(torch.tensor(self.alive, dtype=self.x.dtype))))
        return matrix

    def brought_back(self):
        """Put the rows that have left behind the others, in the order of their patches; S has zeros for them."""
        self.returned, rows = {patch: self.left.pop(patch) for patch in sorted(self.left)}, len(self.x)
        for place, (patch, left) in enumerate(self.returned.items()):
            self.sources[patch] = rows + place
            self.x = torch.cat([self.x, left['x'][None]])
            self.sizes = [*self.sizes, 1]
        return torch.eye(len(self.x), rows, dtype=torch.float64)


def moved(sources, sizes, matrix, prefix):
    """Move each patch's row (-1: gone) and each row's patch count through S."""

    def destination(row):
        hit = [i for i in range(matrix.shape[0]) if matrix[i, row] != 0]
        return hit[0] if hit else -1

    counts = [0 if i >= prefix else 1 for i in range(matrix.shape[0])]
    for row in range(prefix, matrix.shape[1]):
        if destination(row) >= 0:
            counts[destination(row)] += sizes[row]
    return [destination(row) if row >= 0 else -1 for row in sources], counts


def keep(rows, length):
    """S that keeps some rows in the order given."""
    return torch.tensor([[1.0 if i == row else 0.0 for i in range(length)] for row in rows], dtype=torch.float64)
