"""Which patches of each frame of a clip are kept, fused or dropped: a row for each stage, a column for each frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mmsparse.evaluation.token_watch import tokens_per_layer
from mmsparse.models.backbones import SparseViT
from mmsparse.visualization.token_map import GAP, TITLE, TokenStage, patch_states, tinted

SHORT_SIDE = 112


def clip_stages(backbone: SparseViT, clip_tchw: Tensor) -> list[TokenStage]:
    """Run one clip and return a stage for every layer at which the tokens change, with states of T frames.

    Args:
        backbone: in evaluation mode.
        clip_tchw: T×3×H×W, normalised as the host expects.
    """
    seen, stages = tokens_per_layer(backbone, clip_tchw[None]), []
    for layer, t in enumerate(seen, start=1):
        before = seen[layer - 2].source_bm if stages else None
        if before is None or before.shape != t.source_bm.shape or not torch.equal(t.source_bm, before):
            stages.append(TokenStage(layer, t.x_bnc.shape[0] * t.x_bnc.shape[1], patch_states(t)))
    return stages


def draw_strip(frames: Sequence[Image.Image], stages: Sequence[TokenStage]) -> Image.Image:
    """Return the frames once per stage, one row below the other: fused patches tinted blue, dropped ones dark.

    Args:
        frames: what the model saw, before normalisation, all of one size.
        stages: from `clip_stages`.
    """
    factor = SHORT_SIDE / min(frames[0].size)
    width, height = (round(side * factor) for side in frames[0].size)
    kind = Image.Resampling.NEAREST if factor > 2 else Image.Resampling.BICUBIC
    bases = [frame.convert('RGB').resize((width, height), kind) for frame in frames]
    row = height + TITLE + GAP
    sheet = Image.new('RGB', (len(bases) * (width + GAP) - GAP, len(stages) * row - GAP), 'white')
    for number, stage in enumerate(stages):
        words = f'layer {stage.layer}: {stage.rows} tokens in {len(bases)} frames'
        ImageDraw.Draw(sheet).text((0, number * row + 3), words, fill='black')
        for column, (base, state_hw) in enumerate(zip(bases, stage.state_hw)):
            sheet.paste(tinted(base, state_hw), (column * (width + GAP), number * row + TITLE))
    return sheet
