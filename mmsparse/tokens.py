"""Rows of a token sequence, where they came from, and the one function that moves them.

A sparsifier decides (it returns a `Plan`); `reduce` executes. Everything that belongs to a row travels with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """The state of a sequence between two operators.

    Args:
        x_bnc: rows, B×N×C.
        prefix: rows at the head that are never reduced (class token, registers).
        grid: patch grid (h, w) of the image; m = h·w patches.
        source_bm: B×m, the row that now stands for each original patch; -1 if it was dropped.
        size_bn: B×N, patches behind a row, 1 for prefix rows; None while nothing has been reduced (all ones).
        carry: tensors B×N×c that ride every plan, such as the Dense Adapter's history. A site may set a key.
    """

    x_bnc: Tensor
    prefix: int
    grid: tuple[int, int]
    source_bm: Tensor
    size_bn: Tensor | None = None
    carry: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(cls, x_bnc: Tensor, prefix: int, grid: tuple[int, int]) -> Tokens:
        """Return the sequence of a fresh image: patch m is row prefix + m."""
        rows_m = torch.arange(prefix, x_bnc.shape[1], device=x_bnc.device)
        return cls(x_bnc, prefix, grid, rows_m.expand(x_bnc.shape[0], -1))

    @property
    def patches(self) -> int:
        """Rows after the prefix: what a sparsifier may reduce."""
        return self.x_bnc.shape[1] - self.prefix

    def first_row(self) -> Tokens:
        """Return the class token alone; every patch counts as gone."""
        carry = {key: value[:, :1] for key, value in self.carry.items()}
        return replace(self, x_bnc=self.x_bnc[:, :1], prefix=1, source_bm=torch.full_like(self.source_bm, -1), size_bn=None, carry=carry)


@dataclass(frozen=True)
class Plan:
    """Where every present row goes.

    Args:
        index_bn: B×N integers, destination row in [0, length), or -1: the row leaves the stream.
        length: rows that remain; each must be some row's destination.
        weight_bn: B×N, the share of each row in its destination; None: 1. The reduction is the linear map
            ``S[index[n], n] = weight[n]`` (Sparse-Tuning, sec. III-A).
    """

    index_bn: Tensor
    length: int
    weight_bn: Tensor | None = None

    @classmethod
    def keep(cls, tokens: Tokens, keep: Tensor) -> Plan:
        """Keep some patches in the order given; prefix rows stay by themselves.

        Args:
            tokens: the present sequence.
            keep: k or B×k distinct integers, positions among the rows after the prefix.
        """
        batch, rows = tokens.x_bnc.shape[:2]
        keep_bk = keep.expand(batch, -1) + tokens.prefix
        length = tokens.prefix + keep_bk.shape[1]
        index_bn = torch.full((batch, rows), -1, dtype=torch.long, device=keep.device)
        index_bn[:, : tokens.prefix] = torch.arange(tokens.prefix, device=keep.device)
        target_bk = torch.arange(tokens.prefix, length, device=keep.device).expand(batch, -1)
        return cls(index_bn.scatter(1, keep_bk, target_bk), length)

    def fuse_rest(self, weight_bn: Tensor) -> Plan:
        """Send every row that would leave to one new last row.

        Args:
            weight_bn: B×N, the shares of the rows that would leave; other entries are not read.
        """
        leaves_bn = self.index_bn < 0
        return Plan(
            index_bn=torch.where(leaves_bn, self.length, self.index_bn),
            length=self.length + 1,
            weight_bn=torch.where(leaves_bn, weight_bn, torch.ones_like(weight_bn)),
        )


def merge(x_bnc: Tensor, plan: Plan) -> Tensor:
    """Move every row to its destination.

    Args:
        x_bnc: rows, B×N×C, any float type.
        plan: destinations in [-1, length).

    Returns:
        B×length×C in the type of `x_bnc`; row j is the sum of the rows sent to j, each times its share.
    """
    # Shares are float32 also under bfloat16: a fused row sums dozens of small terms, which 8 bits of mantissa would lose.
    shared_bnc = x_bnc if plan.weight_bn is None else x_bnc * plan.weight_bn.unsqueeze(-1)
    # Rows that leave are sent to one row past the end, which is cut off: shapes stay independent of the data.
    target_bnc = torch.where(plan.index_bn < 0, plan.length, plan.index_bn).unsqueeze(-1).expand_as(shared_bnc)
    out_bnc = shared_bnc.new_zeros(x_bnc.shape[0], plan.length + 1, x_bnc.shape[2])
    return out_bnc.scatter_add(1, target_bnc, shared_bnc)[:, : plan.length].to(x_bnc.dtype)


def reduce(tokens: Tokens, plan: Plan) -> Tokens:
    """Execute a plan: rows, sizes, sources and carry move together.

    Raises:
        ValueError: the plan was made for another number of rows.
    """
    if plan.index_bn.shape != tokens.x_bnc.shape[:2]:
        raise ValueError(
            f'reduce: the plan has {tuple(plan.index_bn.shape)} (batch, rows), the tokens have {tuple(tokens.x_bnc.shape[:2])}. '
            'Make the plan from the tokens that it reduces.'
        )
    size_bn = torch.ones_like(tokens.x_bnc[..., 0]) if tokens.size_bn is None else tokens.size_bn
    moved_bm = plan.index_bn.gather(1, tokens.source_bm.clamp(min=0))
    return replace(
        tokens,
        x_bnc=merge(tokens.x_bnc, plan),
        source_bm=torch.where(tokens.source_bm < 0, -1, moved_bm),
        size_bn=merge(size_bn.unsqueeze(-1), replace(plan, weight_bn=None)).squeeze(-1),  # counts add up whatever the shares
        carry={key: merge(value, plan) for key, value in tokens.carry.items()},
    )


def restore(tokens: Tokens) -> Tensor:
    """Give dense heads their grid back: every patch gets the row that stands for it.

    Returns:
        B×C×h×w; zeros where a patch was dropped.
    """
    source_bm1 = tokens.source_bm.unsqueeze(-1)
    x_bmc = tokens.x_bnc.gather(1, source_bm1.clamp(min=0).expand(-1, -1, tokens.x_bnc.shape[2]))
    x_bmc = x_bmc.masked_fill(source_bm1 < 0, 0.0)
    return x_bmc.transpose(1, 2).unflatten(2, tokens.grid)
