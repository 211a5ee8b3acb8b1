"""The destinations of a plan the other way round: what each place begins with, so that moving is one gather."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Moves:
    """Which token each place of a reduced sequence begins with, and which tokens join later.

    Args:
        first_bl: B×l integers, the token that each of the first l places begins with; places behind begin empty.
        joins_br: B×r integers, tokens that are then added to the places where the plan's index sends them, each times
            its share; None: no token joins another.
        shared: whether tokens in `first_bl` have shares too; False: theirs are 1.
    """

    first_bl: Tensor
    joins_br: Tensor | None = None
    shared: bool = False

    @classmethod
    def joining(cls, index_bn: Tensor, length: int, joins_br: Tensor) -> Moves:
        """Return the moves of an index when some tokens join others, and each place is the destination of one more."""
        first_bn = torch.ones_like(index_bn).scatter(1, joins_br, 0)
        return cls(_inverse(torch.where(first_bn > 0, index_bn, length), length), joins_br, shared=True)

    def with_rest(self, index_bn: Tensor, place: int) -> Moves:
        """Return these moves when all tokens that are sent to `place` join there, in every image equally many."""
        return replace(self, joins_br=places(index_bn == place, index_bn.shape[1] - self.first_bl.shape[1]))


def places(chosen_bn: Tensor, count: int) -> Tensor:
    """Return where the chosen tokens stand, B×count in rising order; `count` are chosen in every image."""
    return _inverse(torch.where(chosen_bn, chosen_bn.cumsum(1) - 1, count), count)


def _inverse(index_bn: Tensor, length: int) -> Tensor:
    """Return the token that is sent to each place, B×length; those sent to `length` are nobody's."""
    order_bn = torch.arange(index_bn.shape[1], device=index_bn.device).expand_as(index_bn)
    return order_bn.new_zeros(len(index_bn), length + 1).scatter(1, index_bn, order_bn)[:, :length]


def taken(x_bnc: Tensor, index_br: Tensor) -> Tensor:
    """Return the tokens at some places of each image, B×r×C: whole rows are copied, which gather would do number by
    number."""
    flat_r = (index_br + _starts(x_bnc)).flatten()
    return x_bnc.flatten(0, 1).index_select(0, flat_r).unflatten(0, index_br.shape)


def added(out_blc: Tensor, index_br: Tensor, x_brc: Tensor) -> Tensor:
    """Return `out_blc` with row r of an image added to its place `index_br[r]`, row by row."""
    flat_r1 = (index_br + _starts(out_blc)).flatten().unsqueeze(1)
    sum_nc = out_blc.flatten(0, 1).scatter_add(0, flat_r1.expand(-1, x_brc.shape[2]), x_brc.flatten(0, 1))
    return sum_nc.view(out_blc.shape)


def moved(x_bnc: Tensor, index_bn: Tensor, length: int, weight_bn: Tensor | None, moves: Moves) -> Tensor:
    """Return B×length×C: what each place begins with and what joins it, by shares where `weight_bn` says some."""
    first_bl, joins_br = moves.first_bl, moves.joins_br
    out_blc = taken(x_bnc, first_bl)
    if weight_bn is not None and moves.shared:
        out_blc = out_blc * weight_bn.gather(1, first_bl).unsqueeze(-1)
    if joins_br is None:
        return out_blc
    more_brc = taken(x_bnc, joins_br)
    if weight_bn is not None:
        more_brc = more_brc * weight_bn.gather(1, joins_br).unsqueeze(-1)
    out_blc = F.pad(out_blc.to(more_brc.dtype), (0, 0, 0, length - first_bl.shape[1]))
    return added(out_blc, index_bn.gather(1, joins_br), more_brc)


def _starts(x_bnc: Tensor) -> Tensor:
    """Where each image begins when all tokens of a batch stand in one row, B×1."""
    return torch.arange(len(x_bnc), device=x_bnc.device).unsqueeze(1) * x_bnc.shape[1]
