"""Clips of noise and a small classifier of them: what the tests of video share."""

import torch
from mmpretrain.structures import DataSample

from hosts import HEADS, WIDTH, draw, tiny_hosts
from mmsparse.engine.weight_selection import select_at_random
from mmsparse.registry import MODELS
from small_classifier import CLASSES, adapter

CROSS = adapter(cross_frame=True)
FRAMES = 3
HOSTS = tiny_hosts()


def clips(batch=2, views=1, frames=FRAMES, seed=0):
    return torch.randn(batch, views, frames, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def samples(batch=2):
    return [DataSample().set_gt_label(index % CLASSES) for index in range(batch)]


def video(sparsifier=None, adapters=None, host='timm', frames=FRAMES, **backbone):
    """A classifier of clips with all parameters drawn, in evaluation mode."""
    backbone = dict(dict(type='mmsparse.SparseViT', host=HOSTS[host], out_type='tokens'), **backbone)
    neck = dict(type='mmsparse.AttentivePooling', in_channels=WIDTH, num_heads=HEADS)
    model = MODELS.build(
        dict(
            type='mmsparse.VideoClassifier',
            backbone=dict(backbone, adapter=adapters, sparsifier=sparsifier),
            frames=frames,
            neck=neck if backbone['out_type'] == 'tokens' else None,
            head=dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=WIDTH),
        )
    )
    select_at_random(model.backbone)
    return draw(model).eval()
