"""From what a user calls a host, a name or a file, to its config; and how images reach it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.checkpoint_contents import rooted
from mmsparse.models.hosts.load_weights import BESIDE, TIMM_ROOTS
from mmsparse.models.hosts.pixels import Pixels, pixels_on_card, published_by_timm, timm_pixels
from mmsparse.models.hosts.views.view import View
from mmsparse.models.hosts.weight_files import KINDS, SHIPPED, card_of, read_tensors, shipped
from mmsparse.utils.spelling import did_you_mean

FILES = (*KINDS, '.npz')
WIDTHS = {192: 'tiny', 384: 'small', 768: 'base', 1024: 'large', 1152: 'so400m', 1280: 'huge', 1408: 'giant'}


class Input(NamedTuple):
    """How images reach a host.

    Attributes:
        pixels: by what they are normalised, or None: nothing says so.
        sure: whether this is said of these weights, and not merely of the usual ones of their architecture.
        interpolation: 'bicubic', 'bilinear' …
        crop: share of the resized image's side that a centre crop keeps, in (0, 1].
    """

    pixels: Pixels | None
    sure: bool = True
    interpolation: str = 'bicubic'
    crop: float = 1.0


def named_host(text: str) -> dict[str, Any]:
    """Return the config of a host.

    Args:
        text: ``mmsparse://NAME``, a name of timm's, one of open_clip's (``NAME`` or ``NAME:WEIGHTS``), of the hub of
            transformers (``OWNER/NAME``, or a folder in that form), or a file of weights.

    Raises:
        InputError: no such name or file, or a file that does not say whose weights it has.
    """
    import open_clip
    import timm

    if text.startswith(SHIPPED) or text.endswith(FILES) or Path(text).is_file():
        return _from_file(text)
    of_a_hub = (Path(text) / 'config.json').is_file() or re.fullmatch(r'[\w.-]+/[\w.-]+', text)
    if of_a_hub and not timm.is_model(text):
        return dict(type='mmsparse.TransformersViT', name=text, checkpoint=None)
    refuse(f'--host {text}: {fault}' for fault in _faults(text))
    if timm.is_model(text.split('.')[0]):
        return dict(type='mmsparse.TimmViT', name=text, checkpoint=None)
    name, _, tag = text.partition(':')
    return dict(
        type='mmsparse.OpenClipViT', name=name, pretrained=tag or open_clip.list_pretrained_tags_by_model(name)[0]
    )


def _faults(text: str) -> Iterator[str]:
    """What is wrong with the name of a model and its weights."""
    import open_clip
    import timm

    base, (name, _, tag) = text.split('.')[0], text.partition(':')
    timms, clips = timm.list_models(), open_clip.list_models()
    tags = open_clip.list_pretrained_tags_by_model(name)
    if timm.is_model(base):
        if text != base and text not in (known := timm.list_pretrained(f'{base}.*')):
            yield f'timm has no weights of that name. Known: {", ".join(known) or "none"}.'
    elif name not in clips:
        example = ' Expected for instance vit_base_patch16_224.augreg_in21k, or a file of weights.'
        yield f'no file, and no name of timm or open_clip.{did_you_mean(text, [*timms, *clips], most=2) or example}'
    elif tag not in tags and (tag or len(tags) != 1):
        yield f'which weights? Expected {name}:WEIGHTS, with one of {", ".join(tags) or "none"}.'


def input_of(host: Mapping[str, Any], view: View) -> Input:
    """Return how images reach a host.

    Args:
        host: its config.
        view: its view.
    """
    checkpoint = host.get('checkpoint')
    if isinstance(checkpoint, str) and (pixels := pixels_on_card(checkpoint)):
        return Input(pixels)
    if not str(host.get('type')).endswith('TimmViT'):
        return Input(view.pixels)
    import timm

    said = timm.get_pretrained_cfg(host['name'])
    pixels = view.pixels or timm_pixels(host['name'], None)
    return Input(pixels, view.pixels is not None, *((said.interpolation, said.crop_pct) if said else ()))


def _from_file(checkpoint: str) -> dict[str, Any]:
    """Ask the card beside a file, then its name, then its tensors."""
    file = Path(shipped(checkpoint))
    found = card_of(checkpoint).get('architecture') or _name_of(file) or file.suffix != '.npz' and _by_tensors(file)
    if not found:
        raise InputError(
            f'--host {checkpoint}: not clear which host these weights are of; neither a card beside it nor its name '
            'says so, and its tensors are not named and shaped as those of one plain ViT of timm. Name it: --host '
            f'NAME --cfg-options model.backbone.host.checkpoint={checkpoint}, where NAME is one of timm or open_clip.'
        )
    name, options = (
        found['model_name'],
        {key: value for key, value in found.items() if key not in ('model_name', 'num_classes')},
    )
    return dict(type='mmsparse.TimmViT', name=name, checkpoint=checkpoint, **options)


def _name_of(file: Path) -> dict[str, Any] | None:
    """Return timm's name of a file: its own, that of the config.json beside it (as hubs have it), or that of the
    address
    where timm finds it."""
    import timm

    beside = file.with_name('config.json')
    if beside.is_file() and file.stem in ('model', 'pytorch_model', 'open_clip_pytorch_model'):
        said = json.loads(beside.read_text())
        name, tag = said.get('architecture', ''), said.get('pretrained_cfg', {}).get('tag')
        if timm.is_model(name):
            return dict(model_name=f'{name}.{tag}' if tag else name)
    name = next(iter(published_by_timm(str(file))), file.stem if timm.is_model(file.stem) else None)
    return name and dict(model_name=name)


def _by_tensors(file: Path) -> dict[str, Any] | None:
    """Return the first architecture whose tensors have the names and shapes of those in a file, at the size of the
    file's positions: those that ship, then timm's, shortest name first."""
    import timm

    state = rooted(read_tensors(str(file)), TIMM_ROOTS, str(file)).state
    shapes = {key: tuple(value.shape) for key, value in state.items() if not key.startswith(BESIDE)}
    patch, positions = shapes.get('patch_embed.proj.weight', ()), shapes.pop('pos_embed', None)
    if len(patch) != 4 or positions is None:
        return None
    for architecture in _candidates(patch, any(key.startswith('blocks.') for key in shapes)):
        with torch.device('meta'):
            host = timm.create_model(**(architecture | dict(num_classes=0)))
        ours = {key: tuple(value.shape) for key, value in host.state_dict().items()}
        prefix = ours.pop('pos_embed', (1, 0, 0))[1] - host.patch_embed.num_patches
        side = math.isqrt(max(positions[1] - prefix, 0))
        if side * side == positions[1] - prefix and ours == shapes:
            return architecture | dict(img_size=side * patch[2])
    return None


def _candidates(patch: tuple[int, ...], blocks: bool) -> Iterator[dict[str, Any]]:
    """Yield architectures that a patch projection of this shape may belong to; timm's where the file has `blocks`."""
    import timm

    for shown in sorted(Path(shipped(f'{SHIPPED}tiny_vit')).parent.glob('*.json')):
        yield json.loads(shown.read_text())['architecture']
    size = WIDTHS.get(patch[0])
    names = (
        timm.list_models(f'vit_{size}_patch{patch[2]}_*', exclude_filters=['*clip_quickgelu*', '*rope*', '*xlm*'])
        if size and blocks
        else []
    )
    yield from (dict(model_name=name) for name in sorted(names, key=lambda name: (len(name), name)))
