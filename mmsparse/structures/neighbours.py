"""What the tokens of one frame find in another."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from mmsparse.structures.plan import pour
from mmsparse.structures.tokens import Tokens, rows_of


def of_neighbours(tokens: Tokens, value_bnc: Tensor, step: int) -> Tensor:
    """Return for each token what another frame of its clip has at the same place.

    A patch token gets the mean over the patches that it stands for: of each, the value of the token that stands there
    now for the other frame's patch, zeros where none does. A prefix token gets that of its counterpart.

    Args:
        tokens: the present sequence.
        value_bnc: B×N×c, of each present token.
        step: how many frames later, or earlier where negative; zeros where the clip has no such frame.
    """

    def moved(rows_bnc: Tensor) -> Tensor:
        clips = len(rows_bnc) // tokens.frames
        rows_btnc = rows_bnc.reshape(clips, tokens.frames * tokens.joined, -1, rows_bnc.shape[2])
        none_btnc = torch.zeros_like(rows_btnc[:, : abs(step)])
        parts = [rows_btnc[:, step:], none_btnc] if step > 0 else [none_btnc, rows_btnc[:, :step]]
        return torch.cat(parts, dim=1)[:, : rows_btnc.shape[1]].reshape(rows_bnc.shape)

    wide_bnc = value_bnc.to(
        torch.promote_types(value_bnc.dtype, torch.float32)
    )  # a fused token sums dozens of patches
    patches_bnc = pour(tokens, moved(rows_of(replace(tokens, x_bnc=wide_bnc))))
    prefix = wide_bnc[:, : tokens.prefix].split(tokens.segments, dim=1)
    return torch.cat([*map(moved, prefix), patches_bnc[:, tokens.prefix :]], dim=1).to(value_bnc.dtype)
