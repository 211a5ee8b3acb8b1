"""Where tokens go, and the one function that moves them: a sparsifier decides by a `Plan`, `reduce` executes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.structures.clips import join_frames
from mmsparse.structures.moves import Moves, moved, starts
from mmsparse.structures.stash import Stash
from mmsparse.structures.tokens import Tokens, present, rows_of


@dataclass(frozen=True)
class Plan:
    """Where every present token goes.

    Args:
        index_bn: B×N integers, destination in [0, length), or -1: the token leaves the sequence. None: every token
            stays where it is.
        length: tokens that remain; each place that is valid must be some token's destination.
        weight_bn: B×N, the share of each token in its destination; None: 1. The reduction is the linear map
            ``S[index[n], n] = weight[n]`` (Sparse-Tuning, sec. III-A).
        ffn_bn: B×length, which tokens enter this layer's FFN: 1 or 0, in training with gradient (DyT). None: all.
        edit: acts on the tokens, B×N×C, before the reduction (PYRA).
        mask_bn: B×length, new validity; None: tokens stay as valid as they were.
        notes: what the sparsifier decided, for its losses.
        brings_back: let the patches that have left come back (`bring_back`); nothing else of the plan is then read. A
            sparsifier with such plans says so (`BaseSparsifier.brings_back`).
        joins_frames: the frames of a clip first become one sequence (`join_frames`), and the plan is for that; B and N
            are then of clips. A sparsifier with such a plan says where (`BaseSparsifier.join_layer`).
        moves: the index the other way round, where in every image equally many tokens stay; None, or that of another
            index: every token is added to its place.
    """

    index_bn: Tensor | None
    length: int
    weight_bn: Tensor | None = None
    ffn_bn: Tensor | None = None
    edit: Callable[[Tensor], Tensor] | None = None
    mask_bn: Tensor | None = None
    notes: dict[str, Tensor] = field(default_factory=dict)
    brings_back: bool = False
    joins_frames: bool = False
    moves: Moves | None = None

    @classmethod
    def stay(cls, tokens: Tokens, **options) -> Plan:
        """Move nothing; validity, the FFN's tokens or notes may change."""
        return cls(None, tokens.x_bnc.shape[1], **options)

    @classmethod
    def keep(cls, tokens: Tokens, keep: Tensor) -> Plan:
        """Keep some patch tokens in the order given; prefix tokens stay by themselves.

        Args:
            tokens: the present sequence.
            keep: k or B×k distinct integers, places among the patch tokens.
        """
        batch, length = tokens.x_bnc.shape[0], tokens.prefix + keep.shape[-1]
        place_n = torch.arange(length, device=keep.device)
        index_bn = torch.full(tokens.x_bnc.shape[:2], -1, dtype=torch.long, device=keep.device)
        keep_bk = keep.expand(batch, -1) + tokens.prefix
        first_bl = torch.cat([place_n[: tokens.prefix].expand(batch, -1), keep_bk], dim=1)
        index_bn = index_bn.scatter(1, first_bl, place_n.expand(batch, -1))
        return cls(index_bn, length, moves=Moves.keeping(index_bn, first_bl))

    @classmethod
    def where(cls, tokens: Tokens, chosen_bm: Tensor, most: int | None = None, fuse_bm: Tensor | None = None) -> Plan:
        """Keep the chosen patch tokens in their order, of every image as many as it may be; prefix tokens stay.

        The sequence is as long as the longest image's; behind the others there are invalid tokens, which stand for
        nothing. A sparsifier whose plans are of this kind says `leaves_invalid`.

        Args:
            tokens: the present sequence.
            chosen_bm: B×n booleans for the n present patch tokens. Invalid ones must not be among the chosen.
            most: the most that can be chosen in an image; an exported graph has one length for all pictures and needs
                it.
            fuse_bm: B×n, the shares of the valid patch tokens that are not chosen in one new token of their image,
                behind its last chosen one; other entries are not read. None: they leave.
        """
        prefix, count_b1 = tokens.prefix, chosen_bm.sum(1, keepdim=True)
        place_bm = torch.where(chosen_bm, prefix + chosen_bm.cumsum(1) - 1, -1)
        weight_bn, total_b1 = None, prefix + count_b1
        if fuse_bm is not None:
            rest_bm = ~chosen_bm if tokens.mask_bn is None else ~chosen_bm & (tokens.mask_bn[:, prefix:] > 0)
            place_bm = torch.where(rest_bm, total_b1, place_bm)
            weight_bn = F.pad(torch.where(rest_bm, fuse_bm, torch.ones_like(fuse_bm)), (prefix, 0), value=1.0)
            total_b1 = total_b1 + rest_bm.any(1, keepdim=True)
        fixed = most is not None and torch.compiler.is_exporting()
        length = prefix + most + (fuse_bm is not None) if fixed else int(total_b1.max())
        place_n = torch.arange(length, device=chosen_bm.device)
        index_bn = torch.cat([place_n[:prefix].expand(len(place_bm), -1), place_bm], dim=1)
        return cls(index_bn, length, weight_bn, mask_bn=(place_n < total_b1).to(tokens.x_bnc.dtype))

    def fuse_rest(self, weight_bn: Tensor) -> Plan:
        """Send every token that would leave to one new last token.

        Args:
            weight_bn: B×N, the shares of the tokens that would leave; other entries are not read.
        """
        leaves_bn = self.index_bn < 0
        index_bn = torch.where(leaves_bn, self.length, self.index_bn)
        weight_bn = torch.where(leaves_bn, weight_bn, torch.ones_like(weight_bn))
        moves = None if self.moves is None else self.moves.with_rest(index_bn, weight_bn)
        return Plan(index_bn, self.length + 1, weight_bn, moves=moves)


def merge(x_bnc: Tensor, plan: Plan) -> Tensor:
    """Move every token to its destination.

    Args:
        x_bnc: B×N×C, any float type.
        plan: destinations in [-1, length).

    Returns:
        B×length×C in the type of `x_bnc`; token j is the sum of the tokens sent to j, each times its share.
    """
    # Shares are float32 also under bfloat16: a fused token sums dozens of small terms, which 8 bits of mantissa would
    # lose.
    if plan.moves is not None and plan.moves.index_bn is plan.index_bn:
        return moved(x_bnc, plan.length, plan.weight_bn, plan.moves).to(x_bnc.dtype)
    batch, _, width = x_bnc.shape
    shared_bnc = x_bnc if plan.weight_bn is None else x_bnc * plan.weight_bn.unsqueeze(-1)
    # Tokens that leave are sent to one place past the end, which is cut off: shapes stay independent of the data.
    target_bn = torch.where(plan.index_bn < 0, plan.length, plan.index_bn)
    target_bn = target_bn + starts(target_bn, plan.length + 1)
    to_nc = target_bn.reshape(-1, 1).expand(-1, width)  # one index for a whole row is the fast case
    out_nc = shared_bnc.new_zeros(batch * (plan.length + 1), width).scatter_add(0, to_nc, shared_bnc.flatten(0, 1))
    # Contiguous: otherwise every linear that reads the tokens would copy them, and keep its copy for the backward
    # pass.
    return out_nc.view(batch, plan.length + 1, width)[:, : plan.length].to(x_bnc.dtype).contiguous()


def reduce(tokens: Tokens, plan: Plan) -> Tokens:
    """Execute a plan: tokens, sizes, sources, validity, carry and stash move together.

    Raises:
        ValueError: the plan was made for another number of tokens.
    """
    if plan.joins_frames:
        tokens = join_frames(tokens)
    if plan.index_bn is not None and plan.index_bn.shape != tokens.x_bnc.shape[:2]:
        raise ValueError(
            f'reduce: the plan has {tuple(plan.index_bn.shape)} (batch, tokens), the tokens have '
            f'{tuple(tokens.x_bnc.shape[:2])}. Make the plan from the tokens that it reduces.'
        )
    x_bnc = tokens.x_bnc if plan.edit is None else plan.edit(tokens.x_bnc)
    mask_bn = tokens.mask_bn if plan.mask_bn is None else plan.mask_bn
    after = replace(tokens, x_bnc=x_bnc, mask_bn=mask_bn, notes=MappingProxyType({**tokens.notes, **plan.notes}))
    if plan.index_bn is not None:
        count = replace(plan, weight_bn=None)  # sizes and validity add up whatever the shares
        if plan.mask_bn is None and mask_bn is not None:
            mask_bn = merge(mask_bn.unsqueeze(-1), count).squeeze(-1).clamp(max=1)
        moved_bm = plan.index_bn.gather(1, tokens.source_bm.clamp(min=0))
        after = replace(
            after,
            x_bnc=merge(x_bnc, plan),
            source_bm=torch.where(tokens.source_bm < 0, -1, moved_bm),
            size_bn=merge(tokens.sizes_bn.unsqueeze(-1), count).squeeze(-1),
            mask_bn=mask_bn,
            carry=MappingProxyType({key: merge(value, plan) for key, value in tokens.carry.items()}),
        )
    return after if tokens.stash is None else replace(after, stash=_remembered(tokens, plan, after))


def pour(tokens: Tokens, grid_bmc: Tensor) -> Tensor:
    """Bring what was computed on the patch grid to the tokens: each gets the mean over the patches that it stands for.

    Args:
        tokens: the present sequence.
        grid_bmc: B×m×c, for each original patch.

    Returns:
        B×N×c in the type of `grid_bmc`; zeros for prefix tokens and for padding. What lies on patches that no token
        stands for is read by none.
    """
    sum_bnc = merge(grid_bmc, Plan(tokens.source_bm, tokens.x_bnc.shape[1]))
    return (sum_bnc / tokens.sizes_bn.clamp(min=1).unsqueeze(-1)).to(grid_bmc.dtype)


def _remembered(before: Tokens, plan: Plan, after: Tokens) -> Stash:
    """Return the stash with what this reduction takes from each patch that a token still stood for.

    Three kinds of patches: one whose token stays as it is loses nothing; one whose token leaves is noted as it was
    (stale); one whose token is merged, as source or destination, is noted too and loses the difference, so that
    `restore` can tell what the network adds from what the merge replaced.
    """
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
    stale_bmc = torch.where(first_bm1, then_bmc, stash.stale_bmc)
    carry = dict(stash.carry)
    for key, value_bnc in before.carry.items():
        then = rows_of(replace(before, x_bnc=value_bnc))
        carry[key] = torch.where(first_bm1, then, carry.get(key, torch.zeros_like(then)))
    merged = stash.merged or plan.weight_bn is not None
    return Stash(stale_bmc, stash.touched_bm | changes_bm, lost_bmc, carry, merged)
