"""Relative positions: the bias that a host adds to the logits of attention, brought to the present tokens."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.view import View
from mmsparse.structures import Tokens

SHARED = 'relative_positions'


def bias_of_tokens(bias_hpp: Tensor, own: int, t: Tokens, queries: int) -> Tensor:
    """Return the bias of every pair of tokens, from that of every pair of places.

    A patch token has the mean over the patches that it stands for, as query and as key: what a key that is their mean
    would get. The host's own prefix tokens have theirs, others of the prefix (prompts) have no place and no bias,
    nor has padding. In the one sequence of a clip all frames have the same places.

    Args:
        bias_hpp: H×P×P of the places: the host's own prefix tokens, then the m patches.
        own: how many prefix tokens the host itself has; they are the first of `t`.
        t: the present tokens.
        queries: the first so many of them ask.

    Returns:
        B×H×queries×N; 1×H×queries×N where nothing has been reduced.
    """
    heads, places = bias_hpp.shape[:2]
    batch, length = (1 if t.size_bn is None else len(t.x_bnc)), t.x_bnc.shape[1]
    if t.joined > 1:  # frames have the same places
        place_p = torch.arange(places, device=bias_hpp.device)
        place_p = torch.cat([place_p[:own].repeat(t.joined), place_p[own:].repeat(t.joined)])
        bias_hpp, own, places = bias_hpp[:, place_p][:, :, place_p], own * t.joined, places * t.joined
    elif t.size_bn is None and t.prefix == own:
        return bias_hpp[None, :, :queries]
    first_bp = torch.arange(own, device=bias_hpp.device).expand(batch, -1)
    token_bp = torch.cat([first_bp, t.source_bm[:batch]], dim=1)
    token_bp = torch.where(token_bp < 0, length, token_bp)  # one place past the end, which is cut off
    one_bp = torch.ones_like(token_bp, dtype=bias_hpp.dtype)
    share_bp = 1 / one_bp.new_zeros(batch, length + 1).scatter_add(1, token_bp, one_bp).gather(1, token_bp)

    def means(x_bhrp: Tensor) -> Tensor:
        """Over the places of every token, along the last axis."""
        to_bhrp = token_bp[:, None, None, :].expand_as(x_bhrp)
        out_bhrn = x_bhrp.new_zeros(*x_bhrp.shape[:3], length + 1)
        return out_bhrn.scatter_add(3, to_bhrp, x_bhrp * share_bp[:, None, None, :])[..., :length]

    rows_bhqp = bias_hpp[:, :queries].expand(batch, -1, -1, -1)
    if queries > own:
        rows_bhqp = means(bias_hpp.mT.expand(batch, heads, places, places)).mT[:, :, :queries]
    return means(rows_bhqp)


class RelativePositions(View):
    """What the views of hosts with a table of relative positions share: one for each block, or one for all blocks,
    which is computed once a pass and rides in the notes.
    """

    def shared(self) -> Tensor | None:
        """Return the bias of every pair of places for all blocks, H×P×P, or None."""
        raise NotImplementedError

    def own(self, block: nn.Module) -> Tensor | None:
        """Return that of one block, H×P×P, or None."""
        raise NotImplementedError

    def started(self, x_bnc: Tensor, grid: tuple[int, int]) -> Tokens:
        """Return the first tokens, with the bias for all blocks."""
        t, shared_hpp = Tokens.start(x_bnc, self.prefix, grid), self.shared()
        return t if shared_hpp is None else replace(t, notes=MappingProxyType({SHARED: shared_hpp}))

    def bias(self, block: nn.Module, t: Tokens, queries: int) -> Tensor | None:
        own_hpp, bias_hpp = self.own(block), t.notes.get(SHARED)
        if own_hpp is not None:
            bias_hpp = own_hpp if bias_hpp is None else own_hpp + bias_hpp
        return None if bias_hpp is None else bias_of_tokens(bias_hpp, self.prefix, t, queries)
