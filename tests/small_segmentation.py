"""A tiny stand-in for CamVid and a segmentor on it: what the segmentation tests share."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from hosts import DEPTH, WIDTH, timm_host
from mmsparse.registry import MODELS
from small_run import ROOT

CLASSES = 11
CONFIG = """
_base_ = ['{root}/configs/segmentation/tiny_{name}_camvid.py']
host = dict(checkpoint=False, embed_dim=32, depth=4, num_heads=2)
model = dict(backbone=dict(host=host, adapter=dict(bottleneck=4){backbone}), decode_head=dict(in_channels=32, channels=8))
train_dataloader = dict(batch_size=4, dataset=dict(data_root='{data}'))
val_dataloader = test_dataloader = dict(dataset=dict(data_root='{data}'))
train_cfg = dict(max_epochs=2, val_interval=1)
"""
DYT = ', sparsifier=dict(rate=0.5)'


def write_camvid(root: Path, train: int = 8, val: int = 3) -> Path:
    """Write pictures of 480×360 with a horizon: sky over road, a car on it, a void corner."""
    random = np.random.default_rng(0)
    for split, number in dict(train=train, val=val).items():
        for kind in ('images', 'annotations'):
            (root / kind / split).mkdir(parents=True)
        for index in range(number):
            label = np.full((360, 480), 3, np.uint8)
            label[: 120 + 20 * index] = 0
            label[200:300, 100:220] = 8
            label[:40, :40] = 11
            picture = random.integers(0, 60, (360, 480, 3)) + 20 * np.minimum(label, 9)[..., None]
            Image.fromarray(picture.astype(np.uint8)).save(root / f'images/{split}/{index}.jpg')
            Image.fromarray(label).save(root / f'annotations/{split}/{index}.png')
    return root


def write_run(folder: Path, name: str = 'evit_delta_fcn', backbone: str = ', sparsifier=dict(layers=(2,))') -> Path:
    """Write data and a small variant of a shipped config; return the config's path."""
    config = folder / 'small.py'
    config.write_text(CONFIG.format(root=ROOT, data=write_camvid(folder / 'camvid'), name=name, backbone=backbone))
    return config


def segmentor(
    sparsifier=None,
    kind='mmsparse.SparseSegmentor',
    head=None,
    neck=None,
    host=None,
    extra=None,
    data_preprocessor=None,
    **backbone,
):
    """A segmentor in training mode, weights as built, from a fixed seed."""
    torch.manual_seed(0)
    backbone = (
        dict(type='mmsparse.SparseViT', host=host or timm_host(), sparsifier=sparsifier)
        | dict(out_type='featmap')
        | backbone
    )
    fcn = dict(
        type='mmseg.FCNHead',
        in_channels=WIDTH,
        channels=16,
        num_convs=1,
        concat_input=False,
        num_classes=CLASSES,
        dropout_ratio=0.0,
    )
    with DefaultScope.overwrite_default_scope('mmseg'):
        parts = dict(
            backbone=backbone,
            neck=neck,
            decode_head=head or fcn,
            auxiliary_head=extra,
            data_preprocessor=data_preprocessor,
        )
        return MODELS.build(dict(type=kind, test_cfg=ConfigDict(mode='whole'), **parts))


def batch(size=3, seed=0, side=32):
    """Images B×3×side×side and label maps of all classes, some pixels void."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (size, 1, side, side), generator=generator)
    labels[:, :, :4] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    return torch.randn(size, 3, side, side, generator=generator), samples


__all__ = ['CLASSES', 'DEPTH', 'DYT', 'batch', 'segmentor', 'write_camvid', 'write_run']
