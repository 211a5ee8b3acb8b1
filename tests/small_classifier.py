"""Every registered sparsifier in a small classifier: what the tests that run all of them share."""

import torch
from mmpretrain.structures import DataSample

from hosts import DEPTH, WIDTH, listed, timm_host
from mmsparse.models import BaseSparsifier
from mmsparse.registry import MODELS

CLASSES = 5
OPTIONS = {  # what is not the default, for a host of 6 layers and 16 patches
    'AdaptiveKeep': dict(layers=(2, 4), keep_rate=0.7),
    'ATS': dict(layers=(2, 4), keep_rate=0.7),
    'Cropr': dict(num_classes=CLASSES, pruned=3),
    'DynamicViT': dict(layers=(2, 4), keep_rates=(0.7, 0.4)),
    'DyTDispatcher': dict(rate=0.5),
    'EViT': dict(layers=(2, 4), keep_rate=0.7),
    'FPET': dict(layer=3),
    'NoOp': dict(),
    'PYRA': dict(r=2),
    'PiToMe': dict(keep_rate=0.8),
    'RandomDrop': dict(layers=(2, 4), keep_rate=0.7),
    'ToMe': dict(r=2),
}


def registered() -> list[str]:
    """The names of all sparsifiers of the package; one without options here fails in every test, by name."""
    MODELS.import_from_location()
    kinds = [
        kind for kind in MODELS.module_dict.values() if isinstance(kind, type) and issubclass(kind, BaseSparsifier)
    ]
    return sorted(kind.__name__ for kind in kinds if kind.__module__.startswith('mmsparse.'))


def untried(lists) -> set[str]:
    """The sparsifiers that none of these configs names. Two are left out, with tests of their own: RandomDrop for what it
    draws, Cropr for what it brings back.
    """
    tried = {own['type'].removeprefix('mmsparse.') for config in lists for own in listed(config)}
    return set(registered()) - tried - {'Cropr', 'NoOp', 'RandomDrop'}


def config(name: str) -> dict:
    return dict(type=f'mmsparse.{name}', **OPTIONS[name])


def adapter(**options) -> dict:
    return dict(type='mmsparse.DenseAdapter', bottleneck=8, **options)


def classifier(sparsifier, adapters=None, kind='mmsparse.SparseClassifier', host=None, **backbone):
    """A classifier in training mode, weights as built, from a fixed seed."""
    torch.manual_seed(0)
    backbone = dict(
        type='mmsparse.SparseViT', host=host or timm_host(), adapter=adapters, sparsifier=sparsifier, **backbone
    )
    head = dict(
        type='mmpretrain.LinearClsHead',
        num_classes=CLASSES,
        in_channels=WIDTH,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    )
    model = MODELS.build(dict(type=kind, backbone=backbone, head=head))
    model.head._dump_init_info = lambda: None  # MMEngine would log every parameter
    model.head.init_weights()
    return model


def batch(size=6, seed=0, side=32):
    images = torch.randn(size, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return images, [DataSample().set_gt_label(index % CLASSES) for index in range(size)]


def step(model, optimiser=None, seed=0) -> dict:
    """One training step; returns the losses. Gradients stay."""
    for parameter in model.parameters():
        parameter.grad = None
    torch.manual_seed(seed)
    losses = model(*batch(seed=seed), mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    if optimiser:
        optimiser.step()
    return losses


__all__ = ['CLASSES', 'DEPTH', 'OPTIONS', 'adapter', 'batch', 'classifier', 'config', 'registered', 'step', 'untried']
