"""Names and colours of classes, as mmpretrain and mmseg want them."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

GOLDEN = 0.618033988749895  # steps of this share of the colour circle never come near an earlier one soon


def palette(classes: int) -> np.ndarray:
    """Return one colour per class, K×3, uint8; the first ones differ most."""
    colours = [colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.85, 1 - 0.27 * (index % 3)) for index in range(classes)]
    return (np.array(colours) * 255).round().astype(np.uint8)


def dataset_meta(classes: Sequence[str] | None) -> dict:
    """Return what mmpretrain and mmseg want to know of a data set: names and colours of its classes, or nothing."""
    return {} if classes is None else dict(classes=list(classes), palette=palette(len(classes)).tolist())
