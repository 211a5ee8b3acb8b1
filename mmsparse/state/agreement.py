"""Does an adapter belong to the model that is to load it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.host_weights import tensor_differences
from mmsparse.state.files import State
from mmsparse.state.kept import adapter_tensors, frozen_models, normalisation

ABSENT = 'absent'
HEADS = ('head.', 'decode_head.', 'auxiliary_head.')
WEIGHTS = ('checkpoint', 'init_cfg', 'checkpoint_grid')  # where a host's weights lie may differ; what they are is proved by the fingerprint


def full_state_dict(model: nn.Module, state: State, classes: Any = None, new_head: bool = False) -> dict:
    """Return the model's whole state dict with the adapter's tensors in it, after every check; the model is not changed yet.

    Args:
        model: built, with its frozen weights in place, without wrappers.
        state: the adapter.
        classes: names of the classes of the data to be used, or None where they are not known.
        new_head: whether the model's head stays as it is, whatever the adapter's is for.

    Raises:
        InputError: another host, another normalisation, other classes, tensors too many, too few, of another shape or type, or damaged.
    """
    _same_frozen(model, state)
    _same_normalisation(model, state)
    if not new_head:
        _same_classes(classes, state)
    left_out = HEADS if new_head else ()
    both = adapter_tensors(model), state.tensors
    ours, theirs = ({name: value for name, value in tensors.items() if not name.startswith(left_out)} for tensors in both)
    _same_tensors(ours, theirs, state)
    state.verify()
    return {**model.state_dict(), **theirs}


def differences(card: Any, ours: Any, place: str = '') -> Iterator[tuple[str, Any, Any]]:
    """Yield place, the card's value and ours wherever two plain configs differ."""
    if isinstance(card, Mapping) and isinstance(ours, Mapping):
        for key in sorted({*card, *ours}):
            yield from differences(card.get(key, ABSENT), ours.get(key, ABSENT), f'{place}.{key}'.lstrip('.'))
    elif isinstance(card, list) and isinstance(ours, list) and any(isinstance(item, Mapping) for item in (*card, *ours)):
        for index, (one, other) in enumerate(zip_longest(card, ours, fillvalue=ABSENT)):
            yield from differences(one, other, f'{place}[{index}]')
    elif card != ours:
        yield place, card, ours


def other_settings(state: State, model_cfg: Mapping) -> list[str]:
    """Return what the config at hand, which wins, sets otherwise than the card; for people to read.

    Args:
        state: the adapter.
        model_cfg: the plain config of the model at hand.

    Raises:
        InputError: the host is built otherwise, in something that its fingerprint does not show (heads, activation).
    """
    lines = []
    for place, card, ours in differences(state.card.config.get('model', {}), model_cfg):
        parts = place.split('.')
        if 'data_preprocessor' in parts or parts[-1] in WEIGHTS or 'init_cfg' in parts:
            continue
        if 'host' in parts and not (parts[-1] == 'name' and str(card).split('.')[0] == str(ours).split('.')[0]):
            raise InputError(
                f'{state.path}: this adapter belongs to another host: model.{place} is {_short(card)} on its card, {_short(ours)} in the config. '
                'Use the config that trained it.'
            )
        lines.append(f'model.{place}: {_short(card)} on the card, {_short(ours)} here')
    return lines


def _same_frozen(model: nn.Module, state: State) -> None:
    card, ours = state.card.frozen, frozen_models(model)
    if card.keys() != ours.keys():
        raise InputError(
            f'{state.path}: this adapter belongs to a model with the frozen parts {sorted(card) or "none"}, the config builds '
            f'{sorted(ours) or "none"}. Use the config that trained it.'
        )
    for path, frozen in ours.items():
        frozen.check(card[path], state.path)


def _same_normalisation(model: nn.Module, state: State) -> None:
    card, ours = state.card.normalisation, normalisation(model)
    if card != ours:
        raise InputError(
            f'{state.path}: trained on pixels normalised with {_short(card)}, but the config normalises with {_short(ours)}. '
            'Set data_preprocessor as on the card.'
        )


def _same_classes(classes: Any, state: State) -> None:
    ours = None if classes is None else [str(name) for name in classes]
    if ours is not None and state.card.classes is not None and ours != state.card.classes:
        raise InputError(
            f'{state.path}: trained for the classes {_short(state.card.classes)}, but the data has {_short(ours)}. '
            'Use data with the same classes in the same order, or train a new head for others: load_from=STATE new_head=True.'
        )


def _same_tensors(ours: Mapping, theirs: Mapping, state: State) -> None:
    wrong = tensor_differences(theirs, ours) or ', '.join(
        f'of another type: {name} {theirs[name].dtype} for {value.dtype}' for name, value in ours.items() if theirs[name].dtype != value.dtype
    )
    if wrong:
        raise InputError(
            f'{state.path}: these are not the tensors of this model. Tensors {wrong}. Use the config that trained it, or copy the folder again; '
            'for a head of other classes set load_from=STATE new_head=True.'
        )


def _short(value: Any) -> str:
    text = re.sub(r'\s+', ' ', str(value))
    return text if len(text) <= 120 else f'{text[:117]}...'
