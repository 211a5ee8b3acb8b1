"""QuickGELU or GELU: weights of CLIP load under either, and are worth little under the other one."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.pixels import published, published_by_timm

MARKS = {'input_resolution', 'context_length', 'vocab_size'}  # in OpenAI's own archives of CLIP alone


def quick_gelu(checkpoint: str, state: Collection[str]) -> bool | None:
    """Tell whether the weights in a file were trained with QuickGELU, by the marks of OpenAI's archives and their
    published name; None: unknown."""
    if MARKS & set(state) or re.search(r'openai(?!_ft)', Path(checkpoint).name.lower()):
        return True
    return _as_published(checkpoint)


def _as_published(checkpoint: str) -> bool | None:
    """Tell it by the name alone under which open_clip or timm published the file."""
    if (known := published(checkpoint)) is not None:
        return bool(known.get('quick_gelu'))
    names = [name for name in published_by_timm(checkpoint) if '_clip_' in name]
    return '_quickgelu' in names[0] if names else None


def refuse_other_timm_activation(name: str, checkpoint: str | None = None, state: Collection[str] = ()) -> None:
    """Refuse weights of CLIP under a name of timm whose activation is another.

    Args:
        name: of the model.
        checkpoint: file of the weights, or None: those that the name promises.
        state: keys of the file.

    Raises:
        InputError: the text names the model that they belong to.
    """
    import timm

    base, _, tag = name.partition('.')
    if checkpoint is None and not tag and timm.is_model(base):
        tag = getattr(timm.get_pretrained_cfg(base), 'tag', '')
    quick = '_quickgelu' in base
    twin = base.replace('_quickgelu', '') if quick else base.replace('_clip_', '_clip_quickgelu_')
    if '_clip_' not in base or not timm.is_model(twin):
        return
    tagged = f'{base if quick else twin}.{tag}' in timm.list_pretrained(f'*.{tag}')
    marked = bool(MARKS & set(state)) or None  # what the file says weighs more than the tag of a name
    theirs = marked if checkpoint is None or marked else _as_published(checkpoint)
    theirs = theirs if theirs is not None else tagged if tag else quick_gelu(checkpoint, state)
    twin = f'{twin}.{tag}' if tagged and theirs else twin
    _refuse(f'TimmViT: {checkpoint or name}', theirs, quick, f'name={twin!r}')


def refuse_other_open_clip_activation(name: str, quick: bool, weights: str, theirs: bool | None) -> None:
    """Refuse weights of CLIP under a name of open_clip whose activation is another.

    Args:
        name, quick: of the model, and whether it has QuickGELU.
        weights, theirs: how they are called, and whether they were trained with it; None: not known.
    """
    twin = name.removesuffix('-quickgelu') if quick else f'{name}-quickgelu'
    _refuse(f'OpenClipViT: {weights}', theirs, quick, f'name={twin!r}')


def refuse_other_mmpretrain_activation(
    host: nn.Module,
    checkpoint: str,
    state: Collection[str],
    left: Collection[str],
) -> None:
    """Refuse weights that were trained with QuickGELU in an mmpretrain host without it.

    Args:
        host: the model.
        checkpoint: file of the weights.
        state, left: its keys inside and outside the host; a tower for texts outside says a whole CLIP, OpenAI's.
    """
    quick = any(type(module).__name__ == 'QuickGELU' for module in host.modules())
    theirs = 'token_embedding.weight' in left or quick_gelu(checkpoint, state)
    _refuse(checkpoint, theirs or None, quick, "host.layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))")


def _refuse(what: str, theirs: bool | None, ours: bool, remedy: str) -> None:
    if theirs is not None and theirs != ours:
        how = 'with' if theirs else 'without'
        raise InputError(f'{what}: these weights were trained {how} QuickGELU. Use {remedy}.')
