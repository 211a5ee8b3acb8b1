"""Rotary positions as tokens carry them: a phase belongs to a token and rides every plan in ``Tokens.carry``."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.structures.tokens import Tokens

PHASE, PLACE = 'phase', 'place'


def carry_phases(t: Tokens, sin_nd: Tensor, cos_nd: Tensor) -> Tokens:
    """Give the patches of a first sequence their phases, and return it.

    ``Tokens.carry['phase']``, B×N×2d, holds sine and cosine − 1 and goes with the tokens through every reduction: a
    token without position (class token, registers, prompts) holds zeros, a merged one the mean of the phases behind
    it.
    """
    wide = torch.promote_types(sin_nd.dtype, t.x_bnc.dtype)  # cosine − 1 rounds
    phase_nd = F.pad(torch.cat([sin_nd.to(wide), cos_nd.to(wide) - 1], dim=-1), (0, 0, t.prefix, 0))
    return replace(t, carry=MappingProxyType({**t.carry, PHASE: phase_nd.expand(len(t.x_bnc), -1, -1)}))


def turned(x_bhnd: Tensor, t: Tokens, half: bool) -> Tensor:
    """Rotate queries or keys of the first tokens by their phases.

    Args:
        x_bhnd: B×H×N×d.
        t: whose tokens carry phases; of others nothing is rotated.
        half: whether channel i turns with channel i + d/2, and not with its neighbour.
    """
    if PHASE not in t.carry:
        return x_bhnd
    from timm.layers import apply_rot_embed_cat

    sin_b1nd, cos_b1nd = t.carry[PHASE][:, None, : x_bhnd.shape[2]].chunk(2, dim=-1)
    phase_b1nd = torch.cat([sin_b1nd, cos_b1nd + 1], dim=-1)
    return apply_rot_embed_cat(x_bhnd, phase_b1nd, half=half).to(x_bhnd.dtype)


def carry_places(t: Tokens, place_m2: Tensor) -> Tokens:
    """Give the patches of a first sequence their places in the grid, and return it: for hosts whose phases differ from
    layer to layer and head to head.

    ``Tokens.carry['place']``, B×N×2, goes with the tokens through every reduction: a merged one is at the mean of the
    places behind it, and one without position (class token, registers, prompts) at 0, where nothing turns.
    """
    place_bn2 = F.pad(place_m2, (0, 0, t.prefix, 0)).expand(len(t.x_bnc), -1, -1)
    return replace(t, carry=MappingProxyType({**t.carry, PLACE: place_bn2}))


def turned_by_place(x_bhnd: Tensor, t: Tokens, frequency_2hd: Tensor) -> Tensor:
    """Rotate queries or keys of the first tokens by their places (RoPE-Mixed, arXiv 2403.13298, eq. 14).

    Args:
        x_bhnd: B×H×N×d.
        t: whose tokens carry places.
        frequency_2hd: 2×H×(d/2), radians per patch along both axes.
    """
    from timm.layers import apply_rot_embed_cat
    from timm.layers.pos_embed_sincos import get_mixed_freqs

    place_b1n2 = t.carry[PLACE][:, None, : x_bhnd.shape[2]]
    return apply_rot_embed_cat(x_bhnd, get_mixed_freqs(frequency_2hd, *place_b1n2.unbind(-1))).to(x_bhnd.dtype)
