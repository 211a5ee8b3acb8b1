"""From a config to the cost of its model, without its weights where the cost does not depend on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmsparse.analysis.photos import batches, photographs
from mmsparse.engine.shape_check import check_shapes
from mmsparse.errors import InputError
from mmsparse.evaluation.cost_by_layer import Account, account
from mmsparse.evaluation.mac_scopes import backbones
from mmsparse.evaluation.model_input import frames_of, input_shape
from mmsparse.state.agreement import full_state_dict
from mmsparse.state.files import read_state


class Counted(NamedTuple):
    """An account and how it came about.

    Args:
        account: of the model.
        shape: height and width of the images, in pixels.
        remarks: on weights and images, for people to read.
        frames: of a clip; None: the model takes images.
    """

    account: Account
    shape: tuple[int, int]
    remarks: list[str]
    frames: int | None = None


def count_config(
    cfg: Config,
    shape: Sequence[int] | None = None,
    batch: int = 1,
    images: str | Path | None = None,
    adapter: str | Path | None = None,
    frames: int | None = None,
) -> Counted:
    """Count the model of a config.

    Args:
        cfg: a config with `model`.
        shape: one side, or height and width, in pixels; None: what the host is built for.
        batch: images or clips in one forward pass.
        images: an image or a folder, for sparsifiers that decide by image; None: shipped photographs. For clips each
            is one that stands still.
        adapter: folder of a trained state, for the same sparsifiers.
        frames: of a clip; None: as many as the config says.

    Raises:
        InputError: a shape that the patches do not divide, a batch below 1, images or an adapter that cannot be used.
    """
    if batch < 1:
        raise InputError(f'--batch: received {batch}, expected a number of images of at least 1.')
    cfg = cfg if frames is None else _of_frames(cfg, frames)
    model = build_from_config(cfg, 'meta')
    size = _size(model, shape)
    if any(size != _built_for(backbone) and not backbone.view.any_size for backbone in backbones(model)):
        cfg = deepcopy(cfg)
        for host in _hosts(cfg.model):
            host['img_size'] = list(size)
        model = build_from_config(cfg, 'meta')
    deciders = sorted(
        {type(part).__name__ for backbone in backbones(model) for part in backbone.sparsifiers if part.by_image}
    )
    if not deciders:
        if images or adapter:
            raise InputError(
                f'{"--images" if images else "--adapter"}: the cost of this model depends neither on images nor on '
                'weights. Leave it out.'
            )
        remarks = ['Host weights: random, none were loaded; the counts do not depend on them.']
        blank = torch.zeros(input_shape(model, batch, *size), device='meta')
        return Counted(account(model, [blank]), size, remarks, frames_of(model))
    model, remark = _with_weights(cfg, adapter, ' and '.join(deciders))
    pictures = photographs(images)
    remarks = [
        remark,
        f'Averaged over {len(pictures) // batch * batch} images: '
        f'{images or "photographs that travel with the package"}.',
    ]
    inputs = batches(pictures, size, batch, model)
    if frames := frames_of(model):
        remarks.append(f'Each of them is a clip of {frames} frames that stands still.')
        inputs = (still.unsqueeze(1).expand(-1, frames, -1, -1, -1) for still in inputs)
    return Counted(account(model, inputs), size, remarks, frames)


def _of_frames(cfg: Config, frames: int) -> Config:
    if 'frames' not in (cfg.get('model') or {}):
        raise InputError(
            f'--frames: received {frames}, but {cfg.filename} sets no frames: its model takes images. Leave it out.'
        )
    cfg = deepcopy(cfg)
    cfg.model.frames = frames
    return cfg


def build_from_config(cfg: Config, device: str = 'cpu', weights: bool = False) -> nn.Module:
    """Build a config's model in evaluation mode.

    Args:
        cfg: a config with `model`.
        device: 'meta' takes no memory.
        weights: load the hosts' weights; else they are random.
    """
    if not isinstance(cfg.get('model'), Mapping):
        raise InputError(f'{cfg.filename}: this config has no model, so there is nothing to count.')
    node = deepcopy(cfg.model)
    if cfg.get('data_preprocessor'):
        node.setdefault('data_preprocessor', cfg.data_preprocessor)
    for host in _hosts(node):
        if not weights:
            host.pop('init_cfg', None)
            host['checkpoint'] = False
    with torch.device(device), DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        model = MODELS.build(node).eval()
    check_shapes(model)
    return model


def _with_weights(cfg: Config, adapter: str | Path | None, deciders: str) -> tuple[nn.Module, str]:
    if adapter is not None:
        state = read_state(adapter)
        model = build_from_config(cfg, weights=True)
        model.load_state_dict(full_state_dict(model, state))
        return model, f'Weights: {state.path} on its host.'
    try:
        model = build_from_config(cfg, weights=True)
    except InputError as error:
        return build_from_config(cfg), (
            f'Host weights: random (seed 0), because those of the config cannot be used: {error} '
            f'{deciders} decides by image, with other weights otherwise.'
        )
    sources = ', '.join(str(backbone.view.source) for backbone in backbones(model))
    return (
        model,
        f'Host weights: {sources}; nothing is trained. {deciders} decides by image; --adapter counts a trained state.',
    )


def _size(model: nn.Module, shape: Sequence[int] | None) -> tuple[int, int]:
    found = backbones(model)
    if shape is None:
        if not found:
            raise InputError(
                f'{type(model).__name__} holds no mmsparse.SparseViT, so its input size is not known. Give --shape '
                'HEIGHT WIDTH.'
            )
        return _built_for(found[0])
    if len(shape) > 2 or min(shape) < 1:
        raise InputError(
            f'--shape: received {" ".join(map(str, shape))}, expected one side or height and width, in pixels, such '
            'as 224 224.'
        )
    size = (shape[0], shape[-1])
    for backbone in found:
        backbone.view.divide(*size)
    return size


def _built_for(backbone) -> tuple[int, int]:
    (rows, columns), (height, width) = backbone.view.grid, backbone.view.patch
    return rows * height, columns * width


def _hosts(node) -> Iterator[dict]:
    """Every host's config below a node."""
    if isinstance(node, Mapping):
        if isinstance(node.get('host'), Mapping) and str(node.get('type')).endswith('SparseViT'):
            yield node['host']
        node = list(node.values())
    for value in node if isinstance(node, list | tuple) else ():
        yield from _hosts(value)
