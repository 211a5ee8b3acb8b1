"""The destinations of a plan the other way round: what each place begins with, so that moving is one gather."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Moves:
    """Which token each place of a reduced sequence begins with, and which tokens join later.

    Tokens are counted through the batch, as are the places, image by image: that much is then done once for all that
    moves.

    Args:
        index_bn: B×N, the destinations that these are the other way round.
        first_bl: B×l integers, the token that each of the first l places begins with; places behind begin empty.
        joins_br: B×r integers, tokens that are then added, each times its share; None: no token joins another.
        to_br: B×r integers, the places that they are added to.
        ones_bn: shares, B×N, that are known to be 1 for all of `first_bl`.
    """

    index_bn: Tensor
    first_bl: Tensor
    joins_br: Tensor | None = None
    to_br: Tensor | None = None
    ones_bn: Tensor | None = None

    @classmethod
    def keeping(cls, index_bn: Tensor, first_bl: Tensor) -> Moves:
        """Return the moves of an index when no token joins another.

        Args:
            index_bn: B×N.
            first_bl: B×l, the token of each place, counted in its image.
        """
        return cls(index_bn, first_bl + starts(first_bl, index_bn.shape[1]))

    @classmethod
    def joining(cls, index_bn: Tensor, length: int, joins_br: Tensor) -> Moves:
        """Return the moves of an index when some tokens join others, and each place is the destination of one more."""
        stays_bn = torch.ones_like(index_bn).scatter(1, joins_br, 0)
        first_bl = _inverse(torch.where(stays_bn > 0, index_bn, length), length)
        return cls.keeping(index_bn, first_bl)._and(length, joins_br)

    def with_rest(self, index_bn: Tensor, weight_bn: Tensor) -> Moves:
        """Return these moves when all other tokens join in one more place, the last, in every image equally many.

        Args:
            index_bn: B×N, with that place.
            weight_bn: B×N, shares, 1 for all that stay as they are.
        """
        place, rest = self.first_bl.shape[1], index_bn.shape[1] - self.first_bl.shape[1]
        return Moves(index_bn, self.first_bl, ones_bn=weight_bn)._and(place + 1, places(index_bn == place, rest))

    def _and(self, length: int, joins_br: Tensor) -> Moves:
        to_br = self.index_bn.gather(1, joins_br) + starts(joins_br, length)
        joins_br = joins_br + starts(joins_br, self.index_bn.shape[1])
        return Moves(self.index_bn, self.first_bl, joins_br, to_br, self.ones_bn)


def places(chosen_bn: Tensor, count: int) -> Tensor:
    """Return where the chosen tokens stand, B×count in rising order; `count` are chosen in every image."""
    return _inverse(torch.where(chosen_bn, chosen_bn.cumsum(1) - 1, count), count)


def _inverse(index_bn: Tensor, length: int) -> Tensor:
    """Return the token that is sent to each place, B×length; those sent to `length` are nobody's."""
    order_bn = torch.arange(index_bn.shape[1], device=index_bn.device).expand_as(index_bn)
    return order_bn.new_zeros(len(index_bn), length + 1).scatter(1, index_bn, order_bn)[:, :length]


def moved(x_bnc: Tensor, length: int, weight_bn: Tensor | None, moves: Moves) -> Tensor:
    """Return B×length×C: what each place begins with and what joins it, by shares where `weight_bn` says some."""
    batch, tokens, width = x_bnc.shape
    # whole rows are copied, which gather would do number by number
    x_nc, first_n = x_bnc.reshape(batch * tokens, width), moves.first_bl.flatten()
    out_nc = x_nc.index_select(0, first_n)
    if weight_bn is not None and weight_bn is not moves.ones_bn:
        out_nc = out_nc * weight_bn.flatten()[first_n].unsqueeze(1)
    out_blc = out_nc.view(*moves.first_bl.shape, width)
    if moves.joins_br is None:
        return out_blc
    joins_n = moves.joins_br.flatten()
    more_nc = x_nc.index_select(0, joins_n)
    if weight_bn is not None:
        more_nc = more_nc * weight_bn.flatten()[joins_n].unsqueeze(1)
    out_blc = F.pad(out_blc.to(more_nc.dtype), (0, 0, 0, length - moves.first_bl.shape[1]))
    to_nc = moves.to_br.reshape(-1, 1).expand_as(more_nc)
    return out_blc.flatten(0, 1).scatter_add(0, to_nc, more_nc).view(batch, length, width)


def starts(index_br: Tensor, tokens: int) -> Tensor:
    """Where each image begins when all tokens of a batch stand in one row, B×1."""
    return torch.arange(len(index_br), device=index_br.device).unsqueeze(1) * tokens
