"""Give dense heads their patch grid back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.structures.stash import Settled
from mmsparse.structures.tokens import Tokens, present, rows_of

RESTORE = ('gather', 'stale', 'delta')


def restore(tokens: Tokens, mode: str = 'gather') -> Tensor:
    """Return the feature map, B×C×h×w; of a joined clip that of each frame, B·T×C×h×w.

    Args:
        tokens: after the final norm, or of any layer; stale and delta need a stash.
        mode: 'gather': the token that stands for the patch, zeros where it was dropped; 'stale': the token just before
            the patch first left or was merged; 'delta': stale's token plus what its present one has gained since.

    Raises:
        InputError: an unknown mode, or stale and delta without a stash.
    """
    if mode not in RESTORE:
        raise InputError(f'restore: received mode={mode!r}, expected one of {RESTORE}.')
    if mode == 'gather':
        x_bmc = rows_of(tokens)
    elif tokens.stash is None:
        raise InputError(f'restore: mode={mode!r} needs the tokens that left. Build the backbone with stash=True.')
    else:
        stash = tokens.stash if isinstance(tokens.stash, Settled) else settle(tokens, lambda x_bmc: x_bmc).stash
        x_bmc = stash.stale_bmc if mode == 'stale' else stash.delta_bmc
    x_bmc = x_bmc.reshape(-1, math.prod(tokens.grid), x_bmc.shape[2])
    return x_bmc.transpose(1, 2).unflatten(2, tokens.grid)


def settle(tokens: Tokens, norm: Callable[[Tensor], Tensor]) -> Tokens:
    """Finish a stash: the final norm applies to the tokens that left as it does to those that stayed.

    Args:
        tokens: before the final norm; without a stash they stay as they are.
        norm: the norm that the present tokens will get.
    """
    if tokens.stash is None:
        return tokens
    stash, now_bmc = tokens.stash, rows_of(tokens)
    stale_bmc = torch.where(stash.touched_bm.unsqueeze(-1), stash.stale_bmc, now_bmc)
    delta_bmc = torch.where(present(tokens).unsqueeze(-1), now_bmc + stash.lost_bmc, stale_bmc)
    return replace(tokens, stash=Settled(norm(stale_bmc), norm(delta_bmc), stash.touched_bm))


def follow(before: Tokens, after: Tokens) -> Tokens:
    """Let the settled stash of `after` follow what was made of the tokens since `before`: what the token of a patch
    has gained, the patch gains; in mode stale only where its token never left nor was merged."""
    if before.stash is None:
        return after
    stash, gain_bmc = before.stash, rows_of(after) - rows_of(before)
    gone_bm1 = stash.touched_bm.unsqueeze(-1)
    stale_bmc = stash.stale_bmc + gain_bmc.masked_fill(gone_bm1, 0.0)
    return replace(after, stash=replace(stash, stale_bmc=stale_bmc, delta_bmc=stash.delta_bmc + gain_bmc))
