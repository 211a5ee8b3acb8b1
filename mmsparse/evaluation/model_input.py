"""What a model takes: images, or clips where it says of how many frames."""

from __future__ import annotations

from torch import nn


def frames_of(model: nn.Module) -> int | None:
    """Return how many frames a clip has that a model (`mmsparse.VideoClassifier`) takes; None: it takes images."""
    return getattr(model, 'frames', None)


def input_shape(model: nn.Module, batch: int, height: int, width: int) -> tuple[int, ...]:
    """Return B×3×H×W, or B×T×3×H×W for a model of clips.

    Args:
        model: not wrapped.
        batch: images or clips.
        height: in pixels, like the width.
    """
    frames = frames_of(model)
    return (batch, 3, height, width) if frames is None else (batch, frames, 3, height, width)
