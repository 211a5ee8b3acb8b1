"""From a host's config to its view, with the weights in place."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

from mmsparse.errors import InputError, in_words
from mmsparse.models.hosts.frozen_model import seeded, sketching
from mmsparse.models.hosts.load_mmpretrain import load_mmpretrain
from mmsparse.models.hosts.position_tables import checked_grid
from mmsparse.models.hosts.views.view import View, resolve
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS


def build_view(cfg: dict) -> View:
    """Build a host and its view.

    Args:
        cfg: a config that builds a view (``mmsparse.TimmViT``), or one of a model that a view knows
            (``mmpretrain.VisionTransformer``) with `checkpoint`: a file, or False for random weights from a seed of
            their own, and `checkpoint_grid` as for the others. Of an `init_cfg` the type Pretrained is taken over.

    Raises:
        InputError: unknown type, or weights that are not named or do not fit.
    """
    cfg, kind = dict(cfg), cfg.get('type')
    # a builder of views; the others are networks
    if inspect.isfunction(kind if callable(kind) else MODELS.get(str(kind))):
        return MODELS.build(cfg)
    init_cfg = cfg.pop('init_cfg', None) or {}
    checkpoint = checked(cfg.pop('checkpoint', init_cfg.get('checkpoint')), f'host {kind}')
    grid = checked_grid(cfg.pop('checkpoint_grid', None), checkpoint)
    if checkpoint is None or init_cfg and init_cfg.get('type') != 'Pretrained':
        given = f'init_cfg={init_cfg}' if init_cfg else f'checkpoint={checkpoint}'
        raise InputError(
            f'host {kind}: received {given}, but an mmpretrain config promises no weights. Set host.checkpoint to a '
            '.pth or .safetensors file (an init_cfg of type Pretrained names one too), or to False for random '
            'weights.'
        )
    with seeded():
        with in_words(f'host {kind} cannot be built'):
            host = MODELS.build(cfg)
        view = resolve(host)
        if checkpoint is False and not sketching():  # MMEngine looks at the values that it has drawn
            host._dump_init_info = lambda: None  # MMEngine would log every parameter of a network that does not train
            host.init_weights()
            del host._dump_init_info
    return finish(
        view, checkpoint, lambda: load_mmpretrain(host, checkpoint, init_cfg.get('prefix', 'backbone.'), grid)
    )


def finish(view: View, checkpoint: str | bool | None, read: Callable[[], dict], promised: str = 'pretrained') -> View:
    """Put the weights of a host in place, and say in its view whose they are.

    Args:
        view: of the host, as drawn from the seed or brought from a hub.
        checkpoint: as `checked` returns it.
        read: loads them; returns parameters that were resized, as they stand in the file.
        promised: what the name of the host promises.
    """
    view.source = 'random, seed 0' if checkpoint is False else checkpoint or f'{promised}, from the hub'
    view.filed = None if checkpoint is False else {} if sketching() else read()
    return view


def sketch(cfg: dict) -> View:
    """Return the view of a host without its weights, in a moment and without a download: to ask for `width`,
    `image_size` or `pixels`.

    Args:
        cfg: as for `build_view`; the file that it names need not be there.

    Raises:
        InputError: an unknown name, type or argument.
    """
    with torch.device('meta'):
        return build_view(cfg)
