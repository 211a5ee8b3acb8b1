"""Let patches that have left the sequence come back into it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.structures.plan import Plan, merge
from mmsparse.structures.stash import Stash
from mmsparse.structures.tokens import Tokens


def bring_back(tokens: Tokens) -> Tokens:
    """Return the tokens and, behind them in the order of the image, each patch that none of them stands for.

    A patch comes back as the token that stood for it just before it first left or was merged, of size 1, with what
    that token carried (rotary phases among it) under the keys still carried; zeros under keys that came up since.
    Where merged tokens have left, images may get back different numbers of patches: shorter ones are padded with
    invalid tokens.

    Args:
        tokens: of a layer, with a stash (`Tokens.with_stash`).

    Raises:
        InputError: there is no stash, or the final norm has settled it.
    """
    stash, gone_bm = tokens.stash, tokens.source_bm < 0
    if not isinstance(stash, Stash):
        raise InputError(
            'bring_back: received tokens without a stash of those that left. Build the backbone with stash=True, or '
            'let the sparsifier say brings_back = True.'
        )
    rows, count_b1 = tokens.x_bnc.shape[1], gone_bm.sum(1, keepdim=True)
    # A valid token stands for one patch at least; without merges for one exactly, and all images have lost as many.
    most = gone_bm.shape[1] - tokens.patches if tokens.mask_bn is None else int(count_b1.max())
    if most == 0:
        return tokens
    place_bm = gone_bm.cumsum(1) - 1
    back = Plan(torch.where(gone_bm, place_bm, -1), most)

    def joined(value_bnc: Tensor, stashed_bmc: Tensor | None) -> Tensor:
        if stashed_bmc is None:
            return F.pad(value_bnc, (0, 0, 0, most))
        return torch.cat([value_bnc, merge(stashed_bmc, back).to(value_bnc.dtype)], dim=1)

    valid_bk = (torch.arange(most, device=gone_bm.device) < count_b1).to(tokens.sizes_bn.dtype)
    mask_bn = tokens.mask_bn
    if stash.merged or mask_bn is not None:
        mask_bn = torch.ones_like(tokens.x_bnc[..., 0]) if mask_bn is None else mask_bn
        mask_bn = torch.cat([mask_bn, valid_bk.to(mask_bn.dtype)], dim=1)
    return replace(
        tokens,
        x_bnc=joined(tokens.x_bnc, stash.stale_bmc),
        source_bm=torch.where(gone_bm, rows + place_bm, tokens.source_bm),
        size_bn=torch.cat([tokens.sizes_bn, valid_bk], dim=1),
        mask_bn=mask_bn,
        carry=MappingProxyType({key: joined(value, stash.carry.get(key)) for key, value in tokens.carry.items()}),
        stash=replace(
            stash,
            touched_bm=stash.touched_bm & ~gone_bm,
            lost_bmc=stash.lost_bmc.masked_fill(gone_bm.unsqueeze(-1), 0.0),
        ),
    )
