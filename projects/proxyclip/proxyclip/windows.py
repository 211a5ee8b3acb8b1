"""Cut images into overlapping windows and put what is said of them together again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Box = tuple[int, int, int, int]


def boxes(height: int, width: int, window: int, stride: int) -> list[Box]:
    """Return (top, bottom, left, right) of the windows that cover an image, row by row; the last of a row or column is
    shifted back inside.

    A side shorter than the window is one window of its own length.
    """
    sides = [_spans(side, window, stride) for side in (height, width)]
    return [(*rows, *columns) for rows in sides[0] for columns in sides[1]]


def _spans(side: int, window: int, stride: int) -> list[tuple[int, int]]:
    count = max(side - window + stride - 1, 0) // stride + 1
    ends = [min(index * stride + window, side) for index in range(count)]
    return [(max(end - window, 0), end) for end in ends]


def cut(images: Tensor, cuts: Sequence[Box]) -> Tensor:
    """Return the windows of all images, those of an image together: (B·n)×C×h×w."""
    return torch.stack([images[..., top:bottom, left:right] for top, bottom, left, right in cuts], dim=1).flatten(0, 1)


def pad_to(images: Tensor, multiple: tuple[int, int]) -> tuple[Tensor, Box]:
    """Pad with zeros, evenly on both sides, to multiples of (height, width); return also where the image then lies."""
    height, width = images.shape[-2:]
    more_h, more_w = (-height % multiple[0], -width % multiple[1])
    top, left = more_h // 2, more_w // 2
    padded = F.pad(images, (left, more_w - left, top, more_h - top))
    return padded, (top, top + height, left, left + width)


def join(windows: Tensor, cuts: Sequence[Box], size: tuple[int, int]) -> Tensor:
    """Average what the windows say.

    Args:
        windows: (B·n)×Q×h×w, in the order of `cut`.
        cuts: their boxes.
        size: (height, width) of the images.

    Returns:
        B×Q×height×width.
    """
    windows_bnqhw = windows.unflatten(0, (-1, len(cuts)))
    total = windows.new_zeros(len(windows_bnqhw), windows.shape[1], *size)
    cover = windows.new_zeros(size)
    for index, (top, bottom, left, right) in enumerate(cuts):
        total[..., top:bottom, left:right] += windows_bnqhw[:, index]
        cover[top:bottom, left:right] += 1
    return total / cover
