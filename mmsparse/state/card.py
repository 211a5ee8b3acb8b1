"""adapter.json: what an adapter is for, which weights it needs beside it, and how it came about."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from mmsparse.errors import InputError
from mmsparse.state.kept import fingerprints, normalisation

SCHEMA = 1
DEEP = 60  # whoever walks a config may do so by recursion
PACKAGES = ('mmsparse', 'mmpretrain', 'mmseg', 'mmengine')  # whose registered types a card may name
LIBRARIES = ('mmsparse', 'torch', 'timm', 'mmengine', 'mmcv', 'mmpretrain', 'mmseg', 'safetensors')


@dataclass(frozen=True)
class Card:
    """What adapter.json says.

    Attributes:
        schema: version of this list.
        sha256: over names, types, shapes and bytes of the tensors beside it.
        frozen: name, source and fingerprint of every frozen model, by its path in the model.
        normalisation: mean and std per channel in pixel values, and to_rgb.
        classes: their names in the order of the logits, or None where the data names none.
        score: metrics of this very state by name; empty where it was not validated.
        epoch, iter: finished ones.
        saved: moment of writing, UTC.
        versions: of the libraries.
        config: the resolved config; tuples have become lists.
    """

    schema: int
    sha256: str
    frozen: dict
    normalisation: dict
    classes: list | None
    score: dict
    epoch: int
    iter: int
    saved: str
    versions: dict
    config: dict

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))


def describe(model: nn.Module, sha256: str, config: Mapping, classes: Any, score: Mapping, epoch: int, iter: int) -> Card:
    """Return the card of a model as it is now."""
    versions = {name: str(sys.modules[name].__version__) for name in LIBRARIES if hasattr(sys.modules.get(name), '__version__')}
    saved = datetime.now(UTC).isoformat(timespec='microseconds')
    names = None if classes is None else [str(name) for name in classes]
    return Card(SCHEMA, sha256, fingerprints(model), normalisation(model), names, dict(score), int(epoch), int(iter), saved, versions, plain(config))


def read_card(path: Path) -> Card:
    """Read a card; only its form is judged here.

    Raises:
        InputError: not there, no JSON, or not a card of this schema.
    """
    if not path.is_file():
        raise InputError(f'{path}: there is no card beside the tensors. Copy the whole folder; an adapter is not loaded without its card.')
    try:
        content = json.loads(path.read_text())
        if _deeper(content, DEEP):
            raise ValueError(f'nested deeper than {DEEP}')
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path}: the card cannot be read, it is damaged ({type(error).__name__}: {error}). Copy the folder again.') from error
    schema = content.get('schema') if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise InputError(f'{path}: received a card of schema {schema!r}, expected {SCHEMA}. Use the version of mmsparse that wrote it.')
    kinds = {field.name: field.type for field in fields(Card)}
    wrong = sorted(kinds.keys() ^ content.keys()) or [name for name, kind in kinds.items() if not isinstance(content[name], _KINDS[kind])]
    if wrong:
        raise InputError(f'{path}: the card is damaged, see its entries {", ".join(wrong)}. Copy the folder again.')
    return Card(**content)


def _deeper(node: Any, levels: int) -> bool:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)


_KINDS = {'int': int, 'str': str, 'dict': dict, 'list | None': list | None}


def plain(value: Any) -> Any:
    """Return a config as JSON can hold it: tuples become lists; a class or function becomes its registered name, or else its dotted path."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if not hasattr(value, '__qualname__'):
        return str(value)
    package = value.__module__.split('.')[0]
    return f'{package if package in PACKAGES else value.__module__}.{value.__qualname__}'
