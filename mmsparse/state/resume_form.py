"""The form of what resume needs, checked before a run builds or changes anything: entries, ranges, and whether the
files of one state tell the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
import torch
from pydantic import ConfigDict, Field
from torch import Tensor
from typing_extensions import TypedDict

from mmsparse.errors import in_words, refuse
from mmsparse.state.card import Card
from mmsparse.state.schema import Count, Number, validated
from mmsparse.utils.value_checks import is_number

REMEDY = 'Resume from another state.'
Word = Annotated[int, Field(strict=True, ge=0, lt=2**32)]  # what NumPy takes as a seed, and generators are made of
PAIR = {'best_ckpt': 'best_score', 'best_score': 'best_ckpt'}  # with the same ending
TENSORS = ConfigDict(arbitrary_types_allowed=True)


class _Position(TypedDict):
    epoch: Count
    iter: Count
    batch: NotRequired[Count]
    batches: NotRequired[Count]
    seed: NotRequired[Word | None]
    experiment_name: NotRequired[str]
    dataset_meta: NotRequired[dict[str, Any]]


class _Info(TypedDict, total=False):  # MMEngine's and ours; others are the hooks'
    seed: Word | None
    experiment_name: str
    mmengine_version: str
    loop_stage: str | None
    epoch: Count
    iter: Count
    max_epochs: Count
    max_iters: Count
    dataset_meta: dict[str, Any] | None
    eta: Number
    keep_ckpt_ids: list[Count]
    superseded: list[str]
    last_ckpt: str | None
    last_validated_iter: Count


class _Hub(TypedDict):
    log_scalars: dict[str, Any]
    runtime_info: _Info
    resumed_keys: dict[str, Annotated[bool, Field(strict=True)]]


class _Random(TypedDict):
    __pydantic_config__ = TENSORS

    python: tuple[Literal[3], tuple[Word, ...], Number | None]
    # a position behind its end would read foreign memory
    numpy: tuple[Literal['MT19937'], np.ndarray, Annotated[Word, Field(le=624)], Annotated[Word, Field(le=1)], Number]
    torch: Tensor
    cuda: NotRequired[list[Tensor]]


class _Needed(TypedDict):  # other entries are the hooks'
    __pydantic_config__ = TENSORS

    meta: _Position
    message_hub: _Hub
    random: _Random
    optimizer: dict
    gradients: NotRequired[list[dict[str, Tensor]]]
    ema_state_dict: NotRequired[dict[str, Tensor]]


def check_resume(content: Any, card: Card, unnamed: set[str], where: str) -> None:
    """Refuse what resume could not go on from; what belongs to optimiser and schedules is compared with them later.

    Args:
        content: of resume.json, with its tensors.
        card: of the same state.
        unnamed: tensors of resume.safetensors that nothing in resume.json names.
        where: named in errors.

    Raises:
        InputError: entries that are missing, of another type or out of range, or that the card contradicts.
    """
    validated(_Needed, content, f'{where}: what resume needs is not whole', REMEDY)
    refuse(f'{where}: {fault} {REMEDY}' for fault in _faults(content, card, unnamed))
    with in_words(f'{where}: random: received a state that generators do not take', REMEDY):
        _try_generators(content['random'])


def _faults(content: Mapping, card: Card, unnamed: set[str]) -> Iterator[str]:
    meta, hub = content['meta'], content['message_hub']
    for key in ('epoch', 'iter'):
        if meta[key] != getattr(card, key):
            yield f'meta.{key}: received {meta[key]}, expected {getattr(card, key)} as on the card.'
    if meta['epoch'] > meta['iter']:
        yield f'meta.epoch: received {meta["epoch"]} after {meta["iter"]} iterations, expected one at least in each.'
    batch, batches = meta.get('batch'), meta.get('batches')
    if (batch is None) != (batches is None) or (batch is not None and batch > batches):
        yield f'meta.batch: received {batch} of {batches}, expected how many of the batches of an epoch are done.'
    classes = meta.get('dataset_meta', {}).get('classes')
    if isinstance(classes, Iterable):  # as `describe` writes them on the card
        classes = [str(name) for name in classes]
    if 'dataset_meta' in meta and classes != card.classes:
        yield f'meta.dataset_meta.classes: received {str(classes)[:80]}, expected {str(card.classes)[:80]}.'
    info, kept = hub['runtime_info'], hub['resumed_keys']
    if odd := sorted(info.keys() ^ kept.keys()):
        yield f'message_hub: received {odd[0]} in one of runtime_info and resumed_keys, expected it in both.'
    for key, most in (('epoch', meta['epoch']), ('iter', meta['iter']), ('last_validated_iter', meta['iter'])):
        if info.get(key, 0) > most:
            yield f'message_hub.runtime_info.{key}: received {info[key]}, expected at most {most} as in meta.'
    if late := [step for step in info.get('keep_ckpt_ids', []) if step > meta['iter']]:
        yield f'message_hub.runtime_info.keep_ckpt_ids: received {late[0]}, expected at most {meta["iter"]}.'
    for key in info:
        if key.startswith('best_ckpt') and not isinstance(info[key], str):
            yield f'message_hub.runtime_info.{key}: received {str(info[key])[:80]!r}, expected the path of a state.'
        if key.startswith('best_score') and not is_number(info[key]):
            yield f'message_hub.runtime_info.{key}: received {str(info[key])[:80]!r}, expected a finite number.'
        twin = next((there + key[len(here) :] for here, there in PAIR.items() if key.startswith(here)), key)
        if twin not in info:
            yield f'message_hub.runtime_info: received {key} without {twin}, expected both or none.'
    if unnamed:
        yield (
            f'resume.safetensors: received {len(unnamed)} tensors that resume.json does not name, such as '
            f'{min(unnamed)}; expected each to be named.'
        )


def _try_generators(state: Mapping) -> None:
    """Set generators that nobody uses, so that the libraries themselves say what they do not take."""
    random.Random().setstate(state['python'])
    np.random.RandomState().set_state(state['numpy'])
    torch.Generator().set_state(state['torch'])
