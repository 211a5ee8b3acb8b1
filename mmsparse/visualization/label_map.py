"""Draw labels over a picture, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmsparse.datasets.palette import palette

STRENGTH = 0.55
LINE, SQUARE, GAP = 20, 12, 8


def overlay(picture_hw3: np.ndarray, label_hw: np.ndarray, classes: int) -> np.ndarray:
    """Return a picture (RGB, uint8) tinted by the class of each pixel, h×w×3, uint8."""
    tint_hw3 = palette(classes)[label_hw]
    return (picture_hw3 * (1 - STRENGTH) + tint_hw3 * STRENGTH).round().astype(np.uint8)


def shares(label_hw: np.ndarray, classes: int) -> list[float]:
    """Return the share of the pixels that each class has."""
    return (np.bincount(label_hw.ravel(), minlength=classes) / label_hw.size).tolist()


def draw_labels(picture_hw3: np.ndarray, label_hw: np.ndarray, names: Sequence[str]) -> Image.Image:
    """Return the overlay with a legend at its right: the classes that occur and their shares, largest first."""
    parts = shares(label_hw, len(names))
    order = [index for index in np.argsort(parts)[::-1].tolist() if parts[index] > 0]
    lines = [f'{names[index]}  {parts[index]:.1%}' for index in order]
    font = ImageFont.load_default(14)
    width = max(round(font.getlength(line)) for line in lines) + SQUARE + 3 * GAP
    tinted = Image.fromarray(overlay(picture_hw3, label_hw, len(names)))
    sheet = Image.new('RGB', (tinted.width + width, max(tinted.height, LINE * len(lines) + GAP)), 'white')
    sheet.paste(tinted, (0, 0))
    pen, colours = ImageDraw.Draw(sheet), palette(len(names))
    for line, (index, text) in enumerate(zip(order, lines)):
        left, top = tinted.width + GAP, GAP + line * LINE
        pen.rectangle((left, top, left + SQUARE, top + SQUARE), fill=tuple(colours[index].tolist()))
        pen.text((left + SQUARE + GAP, top - 2), text, fill='black', font=font)
    return sheet
