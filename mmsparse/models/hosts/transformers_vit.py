"""Hosts from Hugging Face's transformers: by the name of a repository on its hub, a folder, or a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from mmsparse.errors import InputError, in_words, refuse
from mmsparse.models.hosts.build import finish
from mmsparse.models.hosts.checkpoint_contents import tell
from mmsparse.models.hosts.frozen_model import seeded, sketching
from mmsparse.models.hosts.hubs import reaching
from mmsparse.models.hosts.load_weights import refuse_others
from mmsparse.models.hosts.pixels import Pixels, pixels_in
from mmsparse.models.hosts.views import transformers as views
from mmsparse.models.hosts.views.transformers_parts import TransformersView
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS
from mmsparse.utils.spelling import did_you_mean
from mmsparse.utils.value_checks import is_list, is_whole

OLDEST = (5, 18)  # before, its ViTs had other parts
WHOLE = ('clip', 'siglip', 'siglip2')  # models of two towers, of which the one of images is taken
FORM = 'a folder as save_pretrained writes it, with config.json and .safetensors files'
WORDS = (
    ('TransformersViT: the model of this config cannot be built', 'Change host.config.'),
    ('TransformersViT: the folder cannot be read', f'Expected {FORM}.'),
)


@MODELS.register_module(name='TransformersViT')
def transformers_vit(
    name: str | None = None,
    checkpoint: str | bool | None = None,
    img_size: int | Sequence[int] | None = None,
    config: Mapping[str, Any] | None = None,
) -> TransformersView:
    """Build a vision model of transformers; it takes images of any size that its patches divide.

    Args:
        name: of a repository on the hub (``facebook/dinov2-base``), or a folder in its form.
        checkpoint: None: the weights of `name`, from the hub, its cache or the folder; False: random weights from a
            seed of their own; a path: the folder with the weights, whose config.json then stands for that of `name`.
        img_size: pixels of the square input, or (height, width); None: the model's own.
        config: instead of `name`, the entries of a config.json, `model_type` among them.

    Raises:
        InputError: neither name nor config, or both; a model that is no ViT with a view; a folder without weights;
            weights that cannot be reached or do not fit.
    """
    checkpoint = checked(checkpoint, 'TransformersViT')
    refuse(f'TransformersViT: {fault}' for fault in _faults(name, checkpoint, img_size, config))
    place = checkpoint or name
    local = place is None or Path(place).exists()
    at_the_hub = reaching('TransformersViT', name, place, place, 'config.json', FORM)
    with in_words(*WORDS[place is not None]) if local else at_the_hub, _quiet():
        found = _read(place) if config is None else _made(config)
        kind = _views()[found.model_type]
        if checkpoint is False or sketching():
            with seeded():
                host = _class_of(kind)(found, **kind.build_options)
        else:
            host = _pretrained(kind, found, place)
        pixels = None if checkpoint is False else _pixels(place)
    view = kind(host.eval(), name, img_size=img_size)
    view.pixels = pixels
    return finish(view, place if local and checkpoint is None else checkpoint, dict)


def _faults(name: object, checkpoint: str | bool | None, img_size: object, config: object) -> Iterator[str]:
    import transformers

    if tuple(int(part) for part in transformers.__version__.split('.')[:2]) < OLDEST:
        yield (
            f'transformers {transformers.__version__} is installed, whose ViTs have other parts. '
            "Install a newer one: pip install 'mmsparse[transformers]'."
        )
    if (isinstance(name, str) and name != '') == (config is not None):
        yield (
            f'received name={name!r} and config={config!r}, expected one of them: a name such as '
            "'facebook/dinov2-base', or a config such as dict(model_type='vit', image_size=32)."
        )
    if config is not None and checkpoint is None:
        yield f'a config promises no weights. Set host.checkpoint to {FORM}, or to False for random weights.'
    sides = img_size if is_list(img_size) and len(img_size) == 2 else [1 if img_size is None else img_size]
    if not all(is_whole(side) and side > 0 for side in sides):
        yield f'received img_size={img_size!r}, expected an edge in pixels, or (height, width).'
    if checkpoint and not Path(checkpoint).is_dir() and (config is None or not sketching()):
        yield f'received checkpoint={checkpoint!r}, expected {FORM}.'


@contextmanager
def _quiet() -> Iterator[None]:
    """Let the library say nothing of what it loads: `tell` does."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _read(place: str) -> Any:
    """Read a config, of a model with two towers that of the images; code that comes with one is never run."""
    from transformers import AutoConfig, PreTrainedConfig

    model_type = PreTrainedConfig.get_config_dict(place)[0].get('model_type')
    if model_type is None:
        raise InputError(f'TransformersViT: {place} has no config.json that names a model_type. Expected {FORM}.')
    if model_type not in (known := {*_views(), *WHOLE}):
        raise InputError(
            f'TransformersViT: {place} is a model of type {model_type}, which is no ViT that a view knows. Known: '
            f'{", ".join(sorted(known))}.'
        )
    config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    return config.vision_config if model_type in WHOLE else config


def _made(entries: Mapping[str, Any]) -> Any:
    """Build a config from its entries; the library would take a misspelt one without a word."""
    from transformers import AutoConfig

    entries = dict(entries)
    model_type = entries.pop('model_type', None)
    kinds = sorted(_views())
    if model_type not in kinds:
        raise InputError(
            f'TransformersViT: received config.model_type={model_type!r}, expected one of {", ".join(kinds)}.'
        )
    known = AutoConfig.for_model(model_type).to_dict()
    for key in entries.keys() - known:
        hint = did_you_mean(key, known, most=1) or f' Known: {", ".join(sorted(known))}.'
        raise InputError(f'TransformersViT: received config.{key}, which no {model_type} has.{hint}')
    return AutoConfig.for_model(model_type, **entries)


def _views() -> dict[str, type[TransformersView]]:
    found = (view for view in vars(views).values() if isinstance(view, type) and issubclass(view, TransformersView))
    return {view.config_type: view for view in found if view.model_types}


def _class_of(kind: type[TransformersView]) -> type[nn.Module]:
    module, _, name = kind.model_types[0].rpartition('.')
    return getattr(import_module(module), name)


def _pretrained(kind: type[TransformersView], config: Any, place: str) -> nn.Module:
    """Load a host whole, or refuse; what is no part of it (heads, a tower of texts) is left out, and said."""
    if Path(place).is_dir() and not any(Path(place).glob('*.safetensors')):
        raise InputError(f'{place}: no .safetensors file is in it. Expected {FORM}.')
    options = dict(
        kind.build_options, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )
    try:
        host, told = _class_of(kind).from_pretrained(place, **options, output_loading_info=True)
    except (RuntimeError, SafetensorError) as error:  # shapes that differ, a file that is cut short
        raise InputError(
            f'{place}: not the weights of this {kind.config_type}, or damaged ({type(error).__name__}: '
            f'{" ".join(str(error).split())}). Download them again, or name the model that they belong to.'
        ) from error
    blocks = f'{kind.parts["blocks"]}.'
    missing = {key for key in told['missing_keys'] if key not in kind.unread}
    ours = host.state_dict()
    given = {key: value for key, value in ours.items() if key not in missing}
    extra = (key for key in told['unexpected_keys'] if key.startswith(blocks))
    refuse_others(host, given | dict.fromkeys(extra), ours, place)
    tell(place, '', told['unexpected_keys'])
    return host


def _pixels(place: str) -> Pixels | None:
    """Return what the processor beside the weights normalises with, or None where there is none or it does not."""
    from transformers import ImageProcessingMixin

    try:
        said, _ = ImageProcessingMixin.get_image_processor_dict(place)
    except OSError:
        return None
    cfg = dict(mean=said.get('image_mean'), std=said.get('image_std'))
    return pixels_in(cfg) if said.get('do_normalize', True) else None
