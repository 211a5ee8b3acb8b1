"""Which pixels and which activation a host's weights were trained with: what timm, open_clip and the package's own card say of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.checkpoint_contents import Rooted
from mmsparse.models.hosts.weight_files import SHIPPED, shipped

MARKS = {'input_resolution', 'context_length', 'vocab_size'}  # in OpenAI's own archives of CLIP alone
ALIKE = 0.5  # of 255: lists round their values differently


class Pixels(NamedTuple):
    """Mean and standard deviation of red, green and blue, in pixel values (0 to 255), by which images were normalised."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        return ', '.join(f'{key}={[round(value, 3) for value in values]}' for key, values in self._asdict().items())

    def like(self, other: Pixels | None) -> bool:
        """Tell whether both say the same."""
        return other is not None and all(
            len(ours) == len(theirs) and all(math.isclose(a, b, abs_tol=ALIKE) for a, b in zip(ours, theirs)) for ours, theirs in zip(self, other)
        )


def pixels_in(cfg: Mapping | None) -> Pixels | None:
    """Read the entries `mean` and `std` (0 to 1) of what timm and open_clip say of weights."""
    if not (cfg and cfg.get('mean') and cfg.get('std')):
        return None
    return Pixels(*(tuple(255 * value for value in cfg[key]) for key in ('mean', 'std')))


def timm_pixels(name: str, checkpoint: str | bool | None) -> Pixels | None:
    """Return what the weights of a timm model expect: by its tag, by their file, or where all tags of its name agree; None: not known."""
    import timm

    if checkpoint is False:
        return None
    if checkpoint and checkpoint.startswith(SHIPPED):
        said = json.loads(Path(shipped(checkpoint)).with_suffix('.json').read_text())['normalisation']
        return Pixels(tuple(said['mean']), tuple(said['std']))
    base, _, tag = name.partition('.')
    if checkpoint is None or tag:
        return _timm_tag(name)
    if checkpoint.endswith('.npz'):
        return Pixels((127.5,) * 3, (127.5,) * 3)  # Google's JAX ViTs, all of them
    return _agreed(_timm_tag(known) for known in timm.list_pretrained(f'{base}.*'))


def open_clip_pixels(name: str, tag: str, checkpoint: str | bool | None) -> Pixels | None:
    """Return what the weights of an open_clip model expect, as `timm_pixels` does for timm's."""
    import open_clip

    if checkpoint is False:
        return None
    if checkpoint is None:
        return pixels_in(open_clip.get_pretrained_cfg(name, tag))
    return pixels_in(published(checkpoint)) or _agreed(
        pixels_in(open_clip.get_pretrained_cfg(name, known)) for known in open_clip.list_pretrained_tags_by_model(name)
    )


def published(path: str) -> Mapping | None:
    """Return what open_clip's list says of a file that bears the name, or lies in a folder of the hub's cache, under which weights were published."""
    import open_clip

    place = f'{Path(path)}'.replace('--', '/')
    for cfg in (open_clip.get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained()):
        repository = cfg.get('hf_hub', '').rstrip('/')
        if repository and f'{repository}/' in place or cfg.get('url') and cfg['url'].endswith(f'/{Path(path).name}'):
            return cfg
    return None


def refuse_other_timm_activation(name: str, checkpoint: str | None = None, state: Collection[str] = ()) -> None:
    """Refuse weights of CLIP under a name of timm whose activation is another: they would load, and be worth little.

    Args:
        name: of the model.
        checkpoint: file of the weights, or None: those that the name promises.
        state: keys of the file.

    Raises:
        InputError: the text names the model that they belong to.
    """
    import timm

    base, _, tag = name.partition('.')
    if '_clip_' not in base:
        return
    quick = '_quickgelu' in base
    twin = base.replace('_quickgelu', '') if quick else base.replace('_clip_', '_clip_quickgelu_')
    if not timm.is_model(twin):
        return
    tagged = f'{base if quick else twin}.{tag}' in timm.list_pretrained(f'*.{tag}')
    theirs = tagged or bool(MARKS & set(state)) if tag else quick_gelu(checkpoint, state)
    _refuse(f'TimmViT: {checkpoint or name}', theirs, quick, f'{twin}.{tag}' if tagged else twin)


def refuse_other_open_clip_activation(name: str, quick: bool, weights: str, theirs: bool | None) -> None:
    """Do the same for a model of open_clip, `quick`: with QuickGELU; `theirs`: whether its weights were trained with it, None: not known."""
    _refuse(f'OpenClipViT: {weights}', theirs, quick, name.removesuffix('-quickgelu') if quick else f'{name}-quickgelu')


def refuse_other_mmpretrain_activation(host: nn.Module, checkpoint: str, found: Rooted) -> None:
    """Do the same for an mmpretrain host; a whole CLIP of mmpretrain is one of OpenAI's kind."""
    quick = any(type(module).__name__ == 'QuickGELU' for module in host.modules())
    theirs = True if 'token_embedding.weight' in found.left else quick_gelu(checkpoint, found.state)
    if theirs and not quick:
        raise InputError(
            f"{checkpoint}: these weights were trained with QuickGELU. Set host.layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))."
        )


def quick_gelu(checkpoint: str, state: Collection[str]) -> bool | None:
    """Tell whether weights were trained with QuickGELU, by the marks of OpenAI's archives and their published name; None: unknown."""
    if MARKS & set(state) or re.search(r'openai(?!_ft)', Path(checkpoint).name.lower()):
        return True
    known = published(checkpoint)
    return None if known is None else bool(known.get('quick_gelu'))


def _refuse(what: str, theirs: bool | None, ours: bool, twin: str) -> None:
    if theirs is not None and theirs != ours:
        raise InputError(f'{what}: these weights were trained {"with" if theirs else "without"} QuickGELU. Use name={twin!r}.')


def warning(model: nn.Module) -> str | None:
    """Return how the data preprocessor of a model on a SparseViT and the weights of its host disagree, or None: they agree, or nothing is known."""
    theirs, ours = model.backbone.view.pixels, applied(model)
    if theirs is None or theirs.like(ours):
        return None
    said = ours or 'nothing'
    return f'data_preprocessor normalises with {said}; the weights of {model.backbone.view.name} were trained with {theirs}. Set these'


def applied(model: nn.Module) -> Pixels | None:
    """Return what the data preprocessor of a model applies, or None where it does not normalise."""
    mean, std = (getattr(getattr(model, 'data_preprocessor', None), key, None) for key in ('mean', 'std'))
    known = mean is not None and std is not None and not mean.is_meta
    return Pixels(tuple(mean.flatten().tolist()), tuple(std.flatten().tolist())) if known else None


def _timm_tag(name: str) -> Pixels | None:
    import timm

    cfg = timm.get_pretrained_cfg(name)
    return pixels_in(cfg and vars(cfg))


def _agreed(known: Iterable[Pixels | None]) -> Pixels | None:
    first, *rest = list(known) or [None]
    return first if first and all(first.like(other) for other in rest) else None
