"""Draw labels over a picture, with a legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .segmenter import Answer

STRENGTH = 0.55
LINE, SQUARE, GAP = 20, 12, 8
GOLDEN = 0.618033988749895  # steps of this share of the colour circle never come near an earlier one soon


def palette(classes: int) -> np.ndarray:
    """Return one colour per class, K×3, uint8; the first ones differ most."""
    colours = [colorsys.hsv_to_rgb(index * GOLDEN % 1, 0.85, 1 - 0.27 * (index % 3)) for index in range(classes)]
    return (np.array(colours) * 255).round().astype(np.uint8)


def overlay(answer: Answer, classes: int) -> np.ndarray:
    """Return the picture tinted by class, h×w×3, uint8."""
    tint_hw3 = palette(classes)[answer.label_hw]
    return (answer.picture_hw3 * (1 - STRENGTH) + tint_hw3 * STRENGTH).round().astype(np.uint8)


def draw(answer: Answer, names: Sequence[str]) -> Image.Image:
    """Return the overlay with a legend at its right: the classes that occur and their shares, largest first."""
    shares = answer.shares(len(names))
    order = [index for index in np.argsort(shares)[::-1].tolist() if shares[index] > 0]
    lines = [f'{names[index]}  {shares[index]:.1%}' for index in order]
    font = ImageFont.load_default(14)
    width = max(round(font.getlength(line)) for line in lines) + SQUARE + 3 * GAP
    tinted = Image.fromarray(overlay(answer, len(names)))
    sheet = Image.new('RGB', (tinted.width + width, max(tinted.height, LINE * len(lines) + GAP)), 'white')
    sheet.paste(tinted, (0, 0))
    pen, colours = ImageDraw.Draw(sheet), palette(len(names))
    for line, (index, text) in enumerate(zip(order, lines)):
        left, top = tinted.width + GAP, GAP + line * LINE
        pen.rectangle((left, top, left + SQUARE, top + SQUARE), fill=tuple(colours[index].tolist()))
        pen.text((left + SQUARE + GAP, top - 2), text, fill='black', font=font)
    return sheet
