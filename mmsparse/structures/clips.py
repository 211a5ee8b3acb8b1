"""Tokens of neighbouring frames, and the frames of a clip as one sequence."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.structures.plan import pour
from mmsparse.structures.tokens import Tokens, rows_of


def join_frames(tokens: Tokens) -> Tokens:
    """Bring the tokens of all frames of a clip into one sequence: B·T×N tokens become B×(T·N).

    All prefix tokens come first, frame by frame; then the patch tokens, those at one place of all frames side by side.
    The sequence stands for T·m patches, frame by frame: `grid` stays that of a frame, and `frames` becomes 1. Notes
    and context stay as they are, and so does what is no clip.

    Raises:
        InputError: tokens that have a stash.
    """
    frames, prefix, device = tokens.frames, tokens.prefix, tokens.x_bnc.device
    if frames == 1:
        return tokens
    if tokens.stash is not None:
        raise InputError(
            'join_frames: received tokens that remember what left them, which is kept by frame. Leave out stash=True '
            'of the backbone, or what brings tokens back (Cropr).'
        )

    def joined(value: Tensor) -> Tensor:
        value = value.unflatten(0, (-1, frames))
        patches = value[:, :, prefix:].transpose(1, 2)
        return torch.cat([value[:, :, :prefix].flatten(1, 2), patches.flatten(1, 2)], dim=1)

    source_btm = tokens.source_bm.unflatten(0, (-1, frames))
    frame_t1 = torch.arange(frames, device=device).unsqueeze(1)
    in_prefix, in_patches = frame_t1 * prefix + source_btm, frames * source_btm + frame_t1
    source_btm = torch.where(source_btm < 0, -1, torch.where(source_btm < prefix, in_prefix, in_patches))
    return replace(
        tokens,
        x_bnc=joined(tokens.x_bnc),
        prefix=frames * prefix,
        source_bm=source_btm.flatten(1),
        size_bn=None if tokens.size_bn is None else joined(tokens.size_bn),
        mask_bn=None if tokens.mask_bn is None else joined(tokens.mask_bn),
        carry={key: joined(value) for key, value in tokens.carry.items()},
        spans={},
        frames=1,
    )


def frames_of(tokens: Tokens) -> int:
    """Return how many frames a clip has, side by side in the batch or joined in the sequence; 1: an image."""
    return max(tokens.frames, tokens.source_bm.shape[1] // math.prod(tokens.grid))


def of_neighbours(tokens: Tokens, value_bnc: Tensor, step: int) -> Tensor:
    """Return for each token what another frame of its clip has at the same place.

    A patch token gets the mean over the patches that it stands for: of each, the value of the token that stands there
    now for the other frame's patch, zeros where none does. A prefix token gets that of its counterpart.

    Args:
        tokens: the present sequence.
        value_bnc: B×N×c, of each present token.
        step: how many frames later, or earlier where negative; zeros where the clip has no such frame.
    """
    frames = frames_of(tokens)

    def moved(rows_bnc: Tensor) -> Tensor:
        rows_btnc = rows_bnc.reshape(len(tokens.x_bnc) // tokens.frames, frames, -1, rows_bnc.shape[2])
        none_btnc = torch.zeros_like(rows_btnc[:, : abs(step)])
        parts = [rows_btnc[:, step:], none_btnc] if step > 0 else [none_btnc, rows_btnc[:, :step]]
        return torch.cat(parts, dim=1)[:, :frames].reshape(rows_bnc.shape)

    patches_bnc = pour(tokens, moved(rows_of(replace(tokens, x_bnc=value_bnc))))
    prefix_bpc = moved(value_bnc[:, : tokens.prefix])
    return torch.cat([prefix_bpc, patches_bnc[:, tokens.prefix :]], dim=1)
