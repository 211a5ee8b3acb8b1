"""Rotary positions as tokens carry them: a phase belongs to a token and rides every plan in ``Tokens.carry``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.structures.tokens import Tokens

PHASE = 'phase'


def carry_phases(t: Tokens, sin_nd: Tensor, cos_nd: Tensor) -> Tokens:
    """Give the patches of a first sequence their phases, and return it.

    ``Tokens.carry['phase']``, B×N×2d, holds sine and cosine − 1 and goes with the tokens through every reduction: a
    token without position (class token, registers, prompts) holds zeros, a merged one the mean of the phases behind
    it.
    """
    phase_nd = F.pad(torch.cat([sin_nd, cos_nd - 1], dim=-1), (0, 0, t.prefix, 0))
    t.carry[PHASE] = phase_nd.expand(len(t.x_bnc), -1, -1)
    return t


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
