"""Rows of a token sequence, where they came from, and the one function that moves them.

A sparsifier decides (it returns a `Plan`); `reduce` executes. Everything that belongs to a row travels with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.structures.stash import Settled, Stash

RESTORE = ('gather', 'stale', 'delta')


@dataclass(frozen=True)
class Tokens:
    """The state of a sequence between two operators.

    Args:
        x_bnc: rows, B×N×C.
        prefix: rows at the head that are never reduced (class token, registers).
        grid: patch grid (h, w) of the image; m = h·w patches.
        source_bm: B×m, the row that now stands for each original patch; -1 if it was dropped.
        size_bn: B×N, patches behind a row, 1 for prefix rows; None while nothing has been reduced (all ones).
        mask_bn: B×N, float validity of rows, 1 or 0; may carry gradient (DynamicViT's training). None: all are valid. Attention, scores,
            pooling and losses honour it.
        carry: tensors B×N×c that ride every plan, such as the Dense Adapter's history. A site may set a key.
        notes: what sparsifiers decided, for their losses; shapes are theirs.
        stash: rows that left, kept only on request.
    """

    x_bnc: Tensor
    prefix: int
    grid: tuple[int, int]
    source_bm: Tensor
    size_bn: Tensor | None = None
    mask_bn: Tensor | None = None
    carry: dict[str, Tensor] = field(default_factory=dict)
    notes: dict[str, Tensor] = field(default_factory=dict)
    stash: Stash | Settled | None = None

    @classmethod
    def start(cls, x_bnc: Tensor, prefix: int, grid: tuple[int, int]) -> Tokens:
        """Return the sequence of a fresh image: patch m is row prefix + m."""
        rows_m = torch.arange(prefix, x_bnc.shape[1], device=x_bnc.device)
        return cls(x_bnc, prefix, grid, rows_m.expand(x_bnc.shape[0], -1))

    def with_stash(self) -> Tokens:
        """Return fresh tokens that will remember what leaves them."""
        x_bmc = self.x_bnc[:, self.prefix :]
        return replace(self, stash=Stash(x_bmc, torch.zeros_like(self.source_bm, dtype=torch.bool), torch.zeros_like(x_bmc)))

    @property
    def patches(self) -> int:
        """Rows after the prefix: what a sparsifier may reduce."""
        return self.x_bnc.shape[1] - self.prefix

    @property
    def sizes_bn(self) -> Tensor:
        """`size_bn`, also while nothing has been reduced: float32 or wider, because bfloat16 cannot count beyond 256."""
        wide = torch.promote_types(self.x_bnc.dtype, torch.float32)
        return torch.ones_like(self.x_bnc[..., 0], dtype=wide) if self.size_bn is None else self.size_bn

    def first_row(self) -> Tokens:
        """Return the class token alone; every patch counts as gone."""
        carry = {key: value[:, :1] for key, value in self.carry.items()}
        gone_bm = torch.full_like(self.source_bm, -1)
        return replace(self, x_bnc=self.x_bnc[:, :1], prefix=1, source_bm=gone_bm, size_bn=None, mask_bn=None, carry=carry, stash=None)


@dataclass(frozen=True)
class Plan:
    """Where every present row goes.

    Args:
        index_bn: B×N integers, destination row in [0, length), or -1: the row leaves the stream. None: every row stays where it is.
        length: rows that remain; each one that is valid must be some row's destination.
        weight_bn: B×N, the share of each row in its destination; None: 1. The reduction is the linear map
            ``S[index[n], n] = weight[n]`` (Sparse-Tuning, sec. III-A).
        ffn_bn: B×length, which rows enter this layer's FFN: 1 or 0, in training with gradient (DyT). None: all.
        edit: acts on the rows, B×N×C, before the reduction (PYRA).
        mask_bn: B×length, new validity; None: rows stay as valid as they were.
        notes: what the sparsifier decided, for its losses.
    """

    index_bn: Tensor | None
    length: int
    weight_bn: Tensor | None = None
    ffn_bn: Tensor | None = None
    edit: Callable[[Tensor], Tensor] | None = None
    mask_bn: Tensor | None = None
    notes: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def stay(cls, tokens: Tokens, **options) -> Plan:
        """Move nothing; validity, FFN rows or notes may change."""
        return cls(None, tokens.x_bnc.shape[1], **options)

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
    # Contiguous: otherwise every linear that reads the rows would copy them, and keep its copy for the backward pass.
    return out_bnc.scatter_add(1, target_bnc, shared_bnc)[:, : plan.length].to(x_bnc.dtype).contiguous()


def reduce(tokens: Tokens, plan: Plan) -> Tokens:
    """Execute a plan: rows, sizes, sources, validity, carry and stash move together.

    Raises:
        ValueError: the plan was made for another number of rows.
    """
    notes = tokens.notes | plan.notes
    if plan.index_bn is None:
        x_bnc = tokens.x_bnc if plan.edit is None else plan.edit(tokens.x_bnc)
        after = replace(tokens, x_bnc=x_bnc, mask_bn=tokens.mask_bn if plan.mask_bn is None else plan.mask_bn, notes=notes)
        return _remember(tokens, plan, after)
    if plan.index_bn.shape != tokens.x_bnc.shape[:2]:
        raise ValueError(
            f'reduce: the plan has {tuple(plan.index_bn.shape)} (batch, rows), the tokens have {tuple(tokens.x_bnc.shape[:2])}. '
            'Make the plan from the tokens that it reduces.'
        )
    count = replace(plan, weight_bn=None)  # sizes and validity add up whatever the shares
    mask_bn = plan.mask_bn
    if mask_bn is None and tokens.mask_bn is not None:
        mask_bn = merge(tokens.mask_bn.unsqueeze(-1), count).squeeze(-1).clamp(max=1)
    moved_bm = plan.index_bn.gather(1, tokens.source_bm.clamp(min=0))
    after = replace(
        tokens,
        x_bnc=merge(tokens.x_bnc if plan.edit is None else plan.edit(tokens.x_bnc), plan),
        source_bm=torch.where(tokens.source_bm < 0, -1, moved_bm),
        size_bn=merge(tokens.sizes_bn.unsqueeze(-1), count).squeeze(-1),
        mask_bn=mask_bn,
        carry={key: merge(value, plan) for key, value in tokens.carry.items()},
        notes=notes,
    )
    return _remember(tokens, plan, after)


def insert_prefix(tokens: Tokens, rows_bpc: Tensor, at: int) -> Tokens:
    """Put p rows before row `at`, in or right behind the prefix; they are valid, of size 1, and carry nothing.

    Raises:
        InputError: a place behind the prefix.
    """
    return _splice(tokens, at, 0, rows_bpc)


def drop_prefix(tokens: Tokens, at: int, count: int) -> Tokens:
    """Take `count` rows out of the prefix, from row `at` on.

    Raises:
        InputError: rows that are not all of the prefix.
    """
    return _splice(tokens, at, count, tokens.x_bnc[:, :0])


def _splice(tokens: Tokens, at: int, count: int, rows_bpc: Tensor) -> Tokens:
    if not 0 <= at <= at + count <= tokens.prefix:
        raise InputError(
            f'received rows {at} to {at + count}, but the prefix has {tokens.prefix} rows: what lies behind are patches, which only a plan moves. '
            'An adapter asks view.reserve_prefix for its place.'
        )

    def put(value: Tensor, fill: float) -> Tensor:
        new = rows_bpc if value is tokens.x_bnc else value.new_full((*rows_bpc.shape[:2], *value.shape[2:]), fill)
        return torch.cat([value[:, :at], new, value[:, at + count :]], dim=1)

    shift = rows_bpc.shape[1] - count
    moved = {name: put(value, 1) for name in ('size_bn', 'mask_bn') if (value := getattr(tokens, name)) is not None}
    carry = {key: put(value, 0) for key, value in tokens.carry.items()}
    source_bm = torch.where(tokens.source_bm < 0, -1, tokens.source_bm + shift)
    return replace(tokens, x_bnc=put(tokens.x_bnc, 0), prefix=tokens.prefix + shift, source_bm=source_bm, carry=carry, **moved)


def rows_of(tokens: Tokens) -> Tensor:
    """Return B×m×C, for each original patch the row that stands for it; zeros where it was dropped."""
    source_bm1 = tokens.source_bm.unsqueeze(-1)
    x_bmc = tokens.x_bnc.gather(1, source_bm1.clamp(min=0).expand(-1, -1, tokens.x_bnc.shape[2]))
    return x_bmc.masked_fill(~present(tokens).unsqueeze(-1), 0.0)


def present(tokens: Tokens) -> Tensor:
    """Return B×m, whether a valid row stands for each original patch."""
    if tokens.mask_bn is None:
        return tokens.source_bm >= 0
    return (tokens.source_bm >= 0) & (tokens.mask_bn.gather(1, tokens.source_bm.clamp(min=0)) > 0)


def restore(tokens: Tokens, mode: str = 'gather') -> Tensor:
    """Give dense heads their grid back.

    Args:
        tokens: after the final norm, or of any layer; stale and delta need a stash.
        mode: 'gather': the row that stands for the patch, zeros where it was dropped; 'stale': the row just before the patch first left or
            was merged; 'delta': stale's row plus what its present row has gained since.

    Returns:
        B×C×h×w.

    Raises:
        InputError: an unknown mode, or stale and delta without a stash.
    """
    if mode not in RESTORE:
        raise InputError(f'restore: received mode={mode!r}, expected one of {RESTORE}.')
    if mode == 'gather':
        x_bmc = rows_of(tokens)
    elif tokens.stash is None:
        raise InputError(f'restore: mode={mode!r} needs the rows that left. Build the backbone with stash=True.')
    else:
        stash = tokens.stash if isinstance(tokens.stash, Settled) else settle(tokens, lambda x_bmc: x_bmc).stash
        x_bmc = stash.stale_bmc if mode == 'stale' else stash.delta_bmc
    return x_bmc.transpose(1, 2).unflatten(2, tokens.grid)


def settle(tokens: Tokens, norm: Callable[[Tensor], Tensor]) -> Tokens:
    """Finish a stash: the final norm applies to the rows that left as it does to those that stayed.

    Args:
        tokens: before the final norm.
        norm: the norm that the present rows will get.
    """
    if tokens.stash is None:
        return tokens
    stash, now_bmc = tokens.stash, rows_of(tokens)
    stale_bmc = torch.where(stash.touched_bm.unsqueeze(-1), stash.stale_bmc, now_bmc)
    delta_bmc = torch.where(present(tokens).unsqueeze(-1), now_bmc + stash.lost_bmc, stale_bmc)
    return replace(tokens, stash=Settled(norm(stale_bmc), norm(delta_bmc)))


def _remember(before: Tokens, plan: Plan, after: Tokens) -> Tokens:
    """Note in the stash what this reduction takes from each patch that a row still stood for."""
    if before.stash is None:
        return after
    stash, here_bm, stays_bm = before.stash, present(before), present(after)
    unchanged_bm = stays_bm
    if plan.index_bn is not None:
        ones_bn1 = torch.ones_like(before.x_bnc[..., :1])
        # A destination keeps a patch as it was only if the patch comes alone and unscaled.
        alone_bl = merge(ones_bn1, replace(plan, weight_bn=None)).squeeze(-1) == 1
        unscaled_bl = merge(ones_bn1, plan).squeeze(-1) == 1
        unchanged_bm = stays_bm & (alone_bl & unscaled_bl).gather(1, after.source_bm.clamp(min=0))
    changes_bm = here_bm & ~unchanged_bm
    then_bmc, now_bmc = rows_of(before), rows_of(after)
    first_bm1 = (changes_bm & ~stash.touched_bm).unsqueeze(-1)
    lost_bmc = stash.lost_bmc + (then_bmc - now_bmc).masked_fill(~stays_bm.unsqueeze(-1), 0.0)
    return replace(after, stash=Stash(torch.where(first_bm1, then_bmc, stash.stale_bmc), stash.touched_bm | changes_bm, lost_bmc))
