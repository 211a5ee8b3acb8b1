"""The frames of a clip as one sequence."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.structures.tokens import Tokens


def join_frames(tokens: Tokens) -> Tokens:
    """Bring the tokens of all frames of a clip into one sequence: B·T×N tokens become B×(T·N).

    The prefix comes first: of all frames the host's own tokens, then each span of prompts, frame by frame. Then the
    patch tokens, those at one place of all frames side by side. The sequence stands for T·m patches, frame by frame:
    `grid` stays that of a frame, and `frames` becomes 1. Notes and context stay, and so does what is no clip.

    Raises:
        InputError: tokens that have a stash.
    """
    frames = tokens.frames
    if frames == 1:
        return tokens
    if tokens.stash is not None:
        raise InputError(
            'join_frames: received tokens that remember what left them, which is kept by frame. Leave out stash=True '
            'of the backbone, or what brings tokens back (Cropr).'
        )
    (count, rows), device = tokens.x_bnc.shape[:2], tokens.x_bnc.device
    # where each row of each frame goes
    order_1n = join_rows(tokens, torch.arange(frames * rows, device=device).view(frames, rows))
    place_tn = order_1n[0].argsort().view(frames, rows)
    moved_bm = place_tn.repeat(count // frames, 1).gather(1, tokens.source_bm.clamp(min=0))
    return replace(
        tokens,
        x_bnc=join_rows(tokens, tokens.x_bnc),
        prefix=frames * tokens.prefix,
        source_bm=torch.where(tokens.source_bm < 0, -1, moved_bm).unflatten(0, (-1, frames)).flatten(1),
        size_bn=None if tokens.size_bn is None else join_rows(tokens, tokens.size_bn),
        mask_bn=None if tokens.mask_bn is None else join_rows(tokens, tokens.mask_bn),
        carry=MappingProxyType({key: join_rows(tokens, value) for key, value in tokens.carry.items()}),
        spans=MappingProxyType({name: frames * prompts for name, prompts in tokens.spans.items()}),
        frames=1,
    )


def join_rows(tokens: Tokens, rows_bn: Tensor) -> Tensor:
    """Bring what belongs to the tokens of all frames, B·T×N×…, into the order of their one sequence, B×(T·N)×…."""
    rows_btn = rows_bn.unflatten(0, (-1, tokens.frames))
    *prefix, patches = rows_btn.split([*tokens.segments, tokens.patches], dim=2)
    return torch.cat([*(part.flatten(1, 2) for part in prefix), patches.transpose(1, 2).flatten(1, 2)], dim=1)
