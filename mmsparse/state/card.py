"""adapter.json, the card: what an adapter is for, which frozen weights it needs beside it, and how it came about."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue
from torch import nn
from typing_extensions import TypedDict

from mmsparse.errors import InputError
from mmsparse.registry import MODELS, TRANSFORMS
from mmsparse.state.saved_tensors import fingerprints, normalisation
from mmsparse.state.schema import Count, Number, validated

SCHEMA = 1
PACKAGES = ('mmsparse', 'mmpretrain', 'mmseg', 'mmengine')  # whose registered types a card may name
LIBRARIES = ('mmsparse', 'torch', 'timm', 'mmengine', 'mmcv', 'mmpretrain', 'mmseg', 'safetensors')


class Frozen(TypedDict):
    """A frozen model: its name, where its weights came from, and the SHA-256 of its parameters that do not train."""

    name: str
    source: str
    fingerprint: str


class Normalisation(TypedDict):
    """Mean and standard deviation per channel in pixel values (0 to 255), and whether BGR becomes RGB."""

    mean: list[Number] | None
    std: list[Number] | None
    to_rgb: Annotated[bool, Field(strict=True)]


@dataclass(frozen=True)
class Card:
    """What adapter.json says.

    Attributes:
        schema: version of this list of entries.
        sha256: over names, types, shapes and bytes of the tensors in adapter.safetensors.
        frozen: every frozen model, by its path in the model, such as backbone.host.
        normalisation: what the data preprocessor does to pixels.
        classes: their names in the order of the logits, or None where the data names none.
        score: metrics of this very state by name; empty where it was not validated.
        epoch, iter: how many were finished.
        saved: when it was written, UTC.
        versions: of the libraries that wrote it.
        config: the run's whole config; tuples have become lists.
    """

    __pydantic_config__ = ConfigDict(extra='forbid')

    schema: Literal[1]
    sha256: str
    frozen: dict[str, Frozen]
    normalisation: Normalisation
    classes: list[str] | None
    score: dict[str, float]
    epoch: Count
    iter: Count
    saved: str
    versions: dict[str, str]
    config: dict[str, JsonValue]

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))


def describe(
    model: nn.Module, sha256: str, config: Mapping, classes: Any, score: Mapping, epoch: int, iter: int
) -> Card:
    """Return the card of a model as it is now; arguments are as in `Card`, and `sha256` of its `adapter_tensors`."""
    versions = {
        name: str(sys.modules[name].__version__) for name in LIBRARIES if hasattr(sys.modules.get(name), '__version__')
    }
    saved = datetime.now(UTC).isoformat(timespec='microseconds')
    names = None if classes is None else [str(name) for name in classes]
    return Card(
        SCHEMA,
        sha256,
        fingerprints(model),
        normalisation(model),
        names,
        dict(score),
        int(epoch),
        int(iter),
        saved,
        versions,
        plain(config),
    )


def read_card(path: Path) -> Card:
    """Read a card and check its form; `agreement` compares it with a model, `trust` says what of it may be built.

    Raises:
        InputError: not there, no JSON, or not a card of this schema.
    """
    if not path.is_file():
        raise InputError(
            f'{path}: there is no card beside the tensors. Copy the whole folder; an adapter is not loaded without '
            'its card.'
        )
    lead = f'{path}: the card cannot be read, it is damaged or of another version'
    return validated(
        Card, path.read_bytes(), lead, 'Copy the folder again, or use the version of mmsparse that wrote it.'
    )


def plain(value: Any) -> Any:
    """Return a config as JSON can hold it: tuples become lists, classes and functions the names that registries know
    them by."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if not hasattr(value, '__qualname__'):
        return str(value)
    package = value.__module__.split('.')[0]
    if package in PACKAGES:
        return f'{package}.{value.__qualname__}'
    plug_ins = {**MODELS.module_dict, **TRANSFORMS.module_dict}
    named = [name for name, target in plug_ins.items() if target is value]
    return f'mmsparse.{named[0]}' if named else f'{value.__module__}.{value.__qualname__}'
