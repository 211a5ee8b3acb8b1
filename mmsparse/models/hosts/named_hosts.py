"""From what a user calls a host, a name or a file, to its config; and how images reach it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mmsparse.errors import InputError
from mmsparse.models.hosts.checkpoint_contents import rooted
from mmsparse.models.hosts.load_weights import BESIDE, TIMM_ROOTS
from mmsparse.models.hosts.pixels import Pixels, timm_pixels
from mmsparse.models.hosts.views.base import View
from mmsparse.models.hosts.weight_files import KINDS, SHIPPED, read_tensors, shipped

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
        text: ``mmsparse://NAME``, a name of timm's, one of open_clip's (``NAME`` or ``NAME:WEIGHTS``), or a file of weights.

    Raises:
        InputError: no such name or file, or a file that does not say whose weights it has.
    """
    import timm

    if text.startswith(SHIPPED):
        return _from_file(Path(shipped(text)), text)
    if Path(text).is_file() or text.endswith(FILES):
        return _from_file(Path(text), text)
    base = text.split('.')[0]
    if timm.is_model(base):
        if text != base and text not in (known := timm.list_pretrained(f'{base}.*')):
            raise InputError(f'--host {text}: timm has no weights of that name. Known: {", ".join(known) or "none"}.')
        return dict(type='mmsparse.TimmViT', name=text, checkpoint=None)
    return _of_open_clip(text, timm.list_models())


def _of_open_clip(text: str, timms: list[str]) -> dict[str, Any]:
    import open_clip

    name, _, tag = text.partition(':')
    if name not in open_clip.list_models():
        near = get_close_matches(text, [*timms, *open_clip.list_models()], n=2)
        raise InputError(
            f'--host {text}: no file, and no name of timm or open_clip. '
            + (f'Did you mean {" or ".join(near)}?' if near else 'Expected for instance vit_base_patch16_224.augreg_in21k, or a file of weights.')
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not tag and len(tags) != 1 or tag and tag not in tags:
        raise InputError(f'--host {text}: which weights? Expected {name}:WEIGHTS, with one of {", ".join(tags) or "none"}.')
    return dict(type='mmsparse.OpenClipViT', name=name, pretrained=tag or tags[0])


def input_of(host: Mapping[str, Any], view: View) -> Input:
    """Return how images reach a host.

    Args:
        host: its config.
        view: its view.
    """
    checkpoint = host.get('checkpoint')
    if isinstance(checkpoint, str) and (card := _card(Path(shipped(checkpoint)))):
        return Input(Pixels(**{key: tuple(value) for key, value in card['normalisation'].items()}))
    if str(host.get('type')).endswith('TimmViT'):
        import timm

        said = timm.get_pretrained_cfg(host['name'])
        pixels = view.pixels or timm_pixels(host['name'], None)
        return Input(pixels, view.pixels is not None, *((said.interpolation, said.crop_pct) if said else ()))
    return Input(view.pixels)


def _card(file: Path) -> dict[str, Any] | None:
    """Return what tools/model_converters/export_host.py writes beside a file of weights."""
    card = file.with_suffix('.json')
    try:
        content = json.loads(card.read_text()) if card.is_file() else {}
    except ValueError:
        return None
    return content if {'architecture', 'normalisation'} <= content.keys() else None


def _from_file(file: Path, checkpoint: str) -> dict[str, Any]:
    """Ask the card beside a file, then its name, then its tensors."""
    if card := _card(file):
        return _timm(checkpoint, **card['architecture'])
    if name := _name_of(file):
        return _timm(checkpoint, name)
    if file.suffix == '.npz':
        raise _unknown(checkpoint, 'the arrays of a .npz file do not say it')
    state = rooted(read_tensors(str(file)), TIMM_ROOTS, checkpoint).state
    shapes = {key: tuple(value.shape) for key, value in state.items() if not key.startswith(BESIDE)}
    patch, positions = shapes.get('patch_embed.proj.weight'), shapes.get('pos_embed')
    if patch is None or len(patch) != 4 or positions is None:
        raise _unknown(checkpoint, 'its tensors are not named as those of a plain ViT of timm')
    for architecture in _candidates(patch, {key for key in shapes if key.startswith('blocks.')}):
        if found := _fits(architecture, shapes):
            return _timm(checkpoint, **found)
    raise _unknown(checkpoint, f'no ViT known by its tensors has width {patch[0]} and patches of {patch[2]}×{patch[3]} px in this form')


def _timm(checkpoint: str, model_name: str, num_classes: int = 0, **architecture: Any) -> dict[str, Any]:
    return dict(type='mmsparse.TimmViT', name=model_name, checkpoint=checkpoint, **architecture)


def _name_of(file: Path) -> str | None:
    """Return timm's name of a file: its own, that of the config.json beside it (as hubs have it), or that of the address where timm finds it."""
    import timm

    beside = file.with_name('config.json')
    if beside.is_file() and file.stem in ('model', 'pytorch_model', 'open_clip_pytorch_model'):
        said = json.loads(beside.read_text())
        if timm.is_model(said.get('architecture', '')):
            tag = said.get('pretrained_cfg', {}).get('tag')
            return f'{said["architecture"]}.{tag}' if tag else said['architecture']
    names = timm.list_pretrained()
    if file.stem in names:
        return file.stem
    urls = {str(timm.get_pretrained_cfg(name).url).rsplit('/', 1)[-1]: name for name in reversed(names)}
    return urls.get(file.name) or (file.stem if timm.is_model(file.stem) else None)


def _candidates(patch: tuple[int, ...], blocks: set[str]) -> Iterator[dict[str, Any]]:
    """Yield architectures that a patch projection and the keys of the blocks may belong to: those that ship, then timm's, shortest name first."""
    import timm

    for card in sorted(Path(shipped(f'{SHIPPED}tiny_vit')).parent.glob('*.json')):
        yield json.loads(card.read_text())['architecture']
    size = WIDTHS.get(patch[0])
    names = timm.list_models(f'vit_{size}_patch{patch[2]}_*', exclude_filters=['*clip_quickgelu*', '*rope*', '*xlm*']) if size and blocks else []
    yield from (dict(model_name=name) for name in sorted(names, key=lambda name: (len(name), name)))


def _fits(architecture: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Return an architecture whose tensors have these names and shapes, at the size of the file's positions."""
    import timm

    given = {key: value for key, value in architecture.items() if key not in ('model_name', 'num_classes')}
    with torch.device('meta'):
        host = timm.create_model(architecture['model_name'], num_classes=0, **given)
    ours = {key: tuple(value.shape) for key, value in host.state_dict().items()}
    prefix = ours.get('pos_embed', (1, 0, 0))[1] - host.patch_embed.num_patches
    side = (shapes['pos_embed'][1] - prefix) ** 0.5
    rest = {key: value for key, value in shapes.items() if key != 'pos_embed'}
    if side % 1 or {key: value for key, value in ours.items() if key != 'pos_embed'} != rest:
        return None
    return dict(architecture, img_size=int(side) * shapes['patch_embed.proj.weight'][2])


def _unknown(checkpoint: str, why: str) -> InputError:
    return InputError(
        f'--host {checkpoint}: not clear which host these weights are of; {why}. Name it: --host NAME --cfg-options '
        f'model.backbone.host.checkpoint={checkpoint}, where NAME is one of timm or open_clip.'
    )
