"""Which patches are kept, fused or dropped, stage by stage, drawn over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mmsparse.evaluation.token_watch import tokens_per_layer
from mmsparse.models.backbones import SparseViT
from mmsparse.structures import Tokens

KEPT, FUSED, DROPPED = 0, 1, 2
TINT = {FUSED: (66, 133, 244), DROPPED: (20, 20, 20)}
STRENGTH = {FUSED: 0.55, DROPPED: 0.8}
SHORT_SIDE, GAP, TITLE = 224, 8, 18


@dataclass(frozen=True)
class TokenStage:
    """The sequence from one layer on.

    Args:
        layer: first layer whose FFN runs on these tokens, counted from 1.
        rows: number of tokens, class token included.
        state_hw: for each patch of the grid KEPT (a token of its own), FUSED (shares a token) or DROPPED.
    """

    layer: int
    rows: int
    state_hw: np.ndarray


def token_stages(backbone: SparseViT, image: Tensor) -> list[TokenStage]:
    """Run one image and return a stage for every layer at which the tokens change.

    Args:
        backbone: in evaluation mode.
        image: 3×H×W, normalised as the host expects.
    """
    seen = tokens_per_layer(backbone, image[None])
    stages = []
    for layer, t in enumerate(seen, start=1):
        if not stages or not torch.equal(t.source_bm, seen[layer - 2].source_bm):
            stages.append(TokenStage(layer, t.x_bnc.shape[1], patch_states(t)[0]))
    return stages


def draw_stages(picture: Image.Image, stages: Sequence[TokenStage]) -> Image.Image:
    """Return the image once per stage, side by side: fused patches tinted blue, dropped ones dark.

    Args:
        picture: what the model saw, before normalisation; any size and shape.
        stages: from `token_stages`.
    """
    factor = SHORT_SIDE / min(picture.size)
    size = tuple(round(side * factor) for side in picture.size)
    base = picture.convert('RGB').resize(size, Image.Resampling.NEAREST if factor > 2 else Image.Resampling.BICUBIC)
    sheet = Image.new('RGB', (len(stages) * (size[0] + GAP) - GAP, size[1] + TITLE), 'white')
    for column, stage in enumerate(stages):
        left = column * (size[0] + GAP)
        sheet.paste(tinted(base, stage.state_hw), (left, TITLE))
        ImageDraw.Draw(sheet).text((left, 3), f'layer {stage.layer}: {stage.rows} tokens', fill='black')
    return sheet


def patch_states(t: Tokens) -> np.ndarray:
    """Return KEPT, FUSED or DROPPED for each patch of each image, or frame, B×H×W."""
    states = []
    for source_m in t.source_bm:
        shares_n = torch.bincount(source_m[source_m >= 0], minlength=t.x_bnc.shape[1])
        state_m = torch.where(shares_n[source_m.clamp(min=0)] > 1, FUSED, KEPT)
        states.append(torch.where(source_m < 0, DROPPED, state_m))
    return torch.stack(states).reshape(-1, *t.grid).numpy(force=True)


def tinted(base: Image.Image, state_hw: np.ndarray) -> Image.Image:
    """Return a picture with its patches tinted by their states."""
    states = np.asarray(Image.fromarray(state_hw.astype(np.uint8)).resize(base.size, Image.Resampling.NEAREST))[
        ..., None
    ]
    pixels = np.asarray(base, dtype=np.float32)
    for state, colour in TINT.items():
        pixels = np.where(states == state, pixels * (1 - STRENGTH[state]) + np.array(colour) * STRENGTH[state], pixels)
    return Image.fromarray(pixels.round().astype(np.uint8))
