"""Whether an adapter belongs to the model that is to load it, and where its card and the config at hand differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from torch import nn

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.frozen_model import tensor_differences
from mmsparse.state.files import State
from mmsparse.state.saved_tensors import adapter_tensors, frozen_models, normalisation
from mmsparse.state.trust import refuse_foreign_types

ABSENT = 'absent'  # what stands for an entry that one of two configs lacks
HEADS = ('head.', 'decode_head.', 'auxiliary_head.')
# where a host's weights lie may differ: the fingerprint proves what they are
WEIGHTS = ('checkpoint', 'init_cfg', 'checkpoint_grid')


def full_state_dict(model: nn.Module, state: State, classes: Any = None, new_head: bool = False) -> dict:
    """Return the model's whole state dict with the adapter's tensors in it, after every check.

    The model itself is not changed.

    Args:
        model: built, with its frozen weights in place, without wrappers.
        state: the adapter.
        classes: names of the classes of the data to be used, or None where they are not known.
        new_head: whether the model's head stays as it is, whatever the adapter's is for.

    Raises:
        InputError: another host, normalisation or classes; tensors that are missing, unexpected, of another shape or
            type, or damaged.
    """
    left_out = HEADS if new_head else ()
    both = adapter_tensors(model), state.tensors
    ours, theirs = (
        {name: value for name, value in tensors.items() if not name.startswith(left_out)} for tensors in both
    )
    refuse(
        f'{state.path}: {fault}'
        for fault in _faults(model, state, None if new_head else classes, ours, theirs, new_head)
    )
    state.verify()
    return {**model.state_dict(), **theirs}


def differences(card: Any, ours: Any, place: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Yield place, the card's value and ours wherever two plain configs differ."""
    if isinstance(card, Mapping) and isinstance(ours, Mapping):
        for key in sorted({*card, *ours}):
            yield from differences(card.get(key, ABSENT), ours.get(key, ABSENT), f'{place}.{key}'.lstrip('.'))
    elif (
        isinstance(card, list) and isinstance(ours, list) and any(isinstance(item, Mapping) for item in (*card, *ours))
    ):
        for index, (one, other) in enumerate(zip_longest(card, ours, fillvalue=ABSENT)):
            yield from differences(one, other, f'{place}[{index}]')
    elif card != ours:
        yield place, card, ours


def other_settings(state: State, model_cfg: Mapping) -> list[str]:
    """Return, a line each for people to read, what the config sets otherwise than the card. The config wins.

    Args:
        state: the adapter.
        model_cfg: the plain config of the model at hand, or an empty one where the model was not built from a config.

    Raises:
        InputError: the card names a type that neither the packages nor the config know, or the host is built otherwise
            in something that its fingerprint does not show (number of heads, activation).
    """
    refuse_foreign_types(state.card, str(state.path), model_cfg)
    lines = []
    for place, card, ours in differences(state.card.config.get('model', {}), model_cfg) if model_cfg else ():
        parts = place.split('.')
        if 'data_preprocessor' in parts or parts[-1] in WEIGHTS or 'init_cfg' in parts:
            continue
        if 'host' in parts and not (parts[-1] == 'name' and str(card).split('.')[0] == str(ours).split('.')[0]):
            raise InputError(
                f'{state.path}: this adapter belongs to another host: model.{place} is {short(card)} on its card, '
                f'{short(ours)} in the config. Use the config that trained it.'
            )
        lines.append(f'model.{place}: {short(card)} on the card, {short(ours)} here')
    return lines


def short(value: Any) -> str:
    """Return a value as text on one line, of 120 characters at most."""
    text = re.sub(r'\s+', ' ', str(value))
    return text if len(text) <= 120 else f'{text[:117]}...'


def _heads(model: nn.Module) -> dict[str, int]:
    """Return how many classes each head answers with; none where words say them."""
    if getattr(model, 'open_vocabulary', False):
        return {}
    found = {name: getattr(getattr(model, name, None), 'num_classes', None) for name in ('head', 'decode_head')}
    return {name: count for name, count in found.items() if isinstance(count, int)}


def _faults(
    model: nn.Module, state: State, classes: Any, ours: Mapping, theirs: Mapping, new_head: bool
) -> Iterator[str]:
    """Say where adapter and model disagree, the host first: with another one nothing else fits either."""
    card, frozen = state.card, frozen_models(model)
    if card.frozen.keys() != frozen.keys():
        yield (
            f'this adapter belongs to a model with the frozen parts {sorted(card.frozen) or "none"}, the config '
            f'builds {sorted(frozen) or "none"}. Use the config that trained it.'
        )
    for path, one in frozen.items():
        one.check(card.frozen[path], state.path)
    if card.normalisation != (here := normalisation(model)):
        yield (
            f'trained on pixels normalised with {short(card.normalisation)}, but the config normalises with '
            f'{short(here)}. Set data_preprocessor as on the card.'
        )
    names = card.classes if classes is None else [str(name) for name in classes]
    if card.classes is not None and names != card.classes:
        yield (
            f'trained for the classes {short(card.classes)}, but the data has {short(names)}. Use data with the same '
            'classes in the same order, or train a new head for others: load_from=STATE new_head=True.'
        )
    for where, outputs in ({} if new_head or names != card.classes else _heads(model)).items():
        if card.classes is not None and len(card.classes) != outputs:
            yield (
                f'classes: received {len(card.classes)} names on the card, {short(card.classes)}, expected '
                f'{outputs} as model.{where}.num_classes. Copy the folder again.'
            )
    if wrong := tensor_differences(theirs, ours) or ', '.join(
        f'of another type: {name} {theirs[name].dtype} for {value.dtype}'
        for name, value in ours.items()
        if theirs[name].dtype != value.dtype
    ):
        yield (
            f'these are not the tensors of this model. Tensors {wrong}. Use the config that trained it, or copy the '
            'folder again; for a head of other classes set load_from=STATE new_head=True.'
        )
