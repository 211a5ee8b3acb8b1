"""The four files of a state, written and read. Nothing in them is executed or imported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue
from safetensors.torch import save
from torch import Tensor

from mmsparse.errors import InputError, in_words
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.models.hosts.weight_files import read_tensors
from mmsparse.state.card import SCHEMA, Card, read_card
from mmsparse.state.folder import CARD, RESUME, RESUME_TENSORS, TENSORS, states, whole
from mmsparse.state.pack import pack, unpack
from mmsparse.state.resume_form import REMEDY, check_resume
from mmsparse.state.schema import validated


@dataclass(frozen=True)
class State:
    """An adapter as read from its folder: path of its adapter.safetensors, card, and tensors by name."""

    path: Path
    card: Card
    tensors: dict[str, Tensor]

    def verify(self) -> None:
        """Compare the digest of the tensors with that on the card.

        Raises:
            InputError: they differ.
        """
        if (ours := digest(self.tensors)) != self.card.sha256:
            raise InputError(
                f'{self.path}: damaged or changed: SHA-256 {ours[:12]} of its tensors, expected '
                f'{self.card.sha256[:12]} by its card. Copy the whole folder again.'
            )


@dataclass(frozen=True)
class Resume:
    """What resume.json says.

    Attributes:
        schema: version of this list.
        adapter, sha256: SHA-256 of the tensors in adapter.safetensors, as on its card, and in resume.safetensors.
        state: optimiser, schedules, random state and position, as `pack` gives them.
    """

    schema: Literal[1]
    adapter: str
    sha256: str
    state: dict[str, JsonValue]


def is_state(path: str | Path) -> bool:
    """Whether a path means a state and no plain file of weights: it is a folder, or named adapter.safetensors."""
    return Path(path).is_dir() or Path(path).name == TENSORS


def write_state(target: Path, tensors: dict[str, Tensor], card: Card, resume: Mapping | None = None) -> None:
    """Write a state, so that it appears whole or not at all.

    Args:
        target: its folder; an older state of that name is replaced.
        tensors: the adapter's, by name.
        card: made for these tensors.
        resume: what training needs to go on, of values that `pack` takes; None: nobody can resume from this state.
    """
    with whole(target) as folder:
        # Not save_file, whose files only their owner can read.
        (folder / TENSORS).write_bytes(
            save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})
        )
        card.write(folder / CARD)
        if resume is not None:
            packed, more = pack(resume)
            (folder / RESUME_TENSORS).write_bytes(save(more))
            content = Resume(SCHEMA, card.sha256, digest(more), packed)
            (folder / RESUME).write_text(json.dumps(asdict(content), allow_nan=False))


def read_state(path: str | Path) -> State:
    """Read an adapter from its folder or its adapter.safetensors; the caller calls `State.verify`.

    Raises:
        InputError: a file is missing, damaged, or something else.
    """
    path = Path(path)
    file = path / TENSORS if path.is_dir() else path
    if path.suffix == '.py' or not file.is_file():
        inside = sorted(card.parent.name for card in path.glob(f'*/{CARD}'))
        found = (
            f'the folder of a run with the states {", ".join(inside)}'
            if inside
            else 'a config'
            if path.suffix == '.py'
            else 'no such file'
        )
        example = path / inside[-1] if inside else 'work_dirs/tiny_digits/epoch_10'
        raise InputError(
            f'{path}: {found}, expected the folder of a state, such as {example}, or the {TENSORS} in it.'
        )
    card = read_card(file.with_name(CARD))
    return State(file, card, read_tensors(str(file)))


def read_resume(state: State) -> Any:
    """Read what training needs to go on from a state.

    Raises:
        InputError: the state was saved without, or it is damaged, of another form or another state's.
    """
    path, beside = state.path.with_name(RESUME), state.path.with_name(RESUME_TENSORS)
    if not (path.is_file() and beside.is_file()):
        raise InputError(
            f'{state.path.parent}: saved without what resume needs (best states are). Resume from an epoch_N or '
            'iter_N beside it.'
        )
    lead, remedy = f'{path}: damaged or changed', REMEDY
    content, tensors = validated(Resume, path.read_bytes(), lead, remedy), read_tensors(str(beside))
    with in_words(lead, remedy):
        if (content.adapter, content.sha256) != (state.card.sha256, digest(tensors)):
            raise ValueError('its marks do not agree with the files beside it')
        named = _Named(tensors)
        needed = unpack(content.state, named)
    check_resume(needed, state.card, tensors.keys() - named.asked, str(path.parent))
    return needed


class _Named(dict):
    """Tensors that note which of them were asked for."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        super().__init__(tensors)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.asked.add(name)
        return super().__getitem__(name)


def newest(work_dir: Path, warn=print) -> Path | None:
    """Return the folder of the last undamaged state to resume a run from, or None where there is none at all.

    Args:
        work_dir: the run's folder.
        warn: called with a sentence for every damaged state that is passed over.

    Raises:
        InputError: there are states, but each is damaged.
    """
    readable, damaged = [], []
    for folder in states(work_dir):
        try:
            readable.append((read_card(folder / CARD).saved, folder))
        except InputError as error:
            damaged.append(str(error))
    for _, folder in sorted(readable, reverse=True):
        try:
            state = read_state(folder)
            state.verify()
            read_resume(state)
        except InputError as error:
            damaged.append(str(error))
        else:
            for text in damaged:
                warn(f'Passed over: {text}')
            return folder
    if damaged:
        raise InputError(
            f'{work_dir}: no state to resume from, all are damaged. {" ".join(damaged)} Move them away to start again.'
        )
    return None
