"""What arguments may be: one refusal for each kind of value, when a part is built."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmsparse.errors import InputError


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Tell whether a value is an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """Tell whether a value is a sequence with at least one entry; a string is none."""
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def check_count(what: str, value: int, example: int) -> None:
    """Refuse what is no integer of at least 1."""
    if not is_whole(value) or value < 1:
        raise InputError(f'{what}={value!r}, expected an integer of at least 1, such as {example}.')


def check_positive(what: str, value: float, example: float) -> None:
    """Refuse what is no finite number above 0."""
    if not is_number(value) or value <= 0:
        raise InputError(f'{what}={value!r}, expected a finite number above 0, such as {example}.')


def check_flag(what: str, value: bool) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise InputError(f'{what}={value!r}, expected True or False.')


def check_choices(what: str, values: Sequence[str], known: Sequence[str], example: Sequence[str]) -> None:
    """Refuse what is no list of some of the known words, each once; a bare string is a list of its letters and never meant."""
    if not is_list(values) or any(values.count(value) > 1 or value not in known for value in values):
        raise InputError(f'{what}={values!r}, expected some of {known}, each once, such as {example}.')


def check_dropout(name: str, dropout: float) -> None:
    """Refuse a probability outside [0, 1)."""
    if not is_number(dropout) or not 0 <= dropout < 1:
        raise InputError(f'{name}: dropout must lie in [0, 1), received {dropout!r}.')


def check_rate(what: str, rate: float) -> None:
    """Refuse a share outside (0, 1]."""
    if not is_number(rate) or not 0 < rate <= 1:
        raise InputError(f'{what} must lie in (0, 1], received {rate!r}. For no reduction leave out the sparsifier or use 1.0.')


def check_weight(what: str, weight: float) -> None:
    """Refuse a factor of a loss that is negative: the loss would be sought, not avoided."""
    if not is_number(weight) or weight < 0:
        raise InputError(f'{what} must be a number of at least 0, received {weight!r}. To leave that loss out use 0.')


def writable_folder(path: str | Path, what: str) -> Path:
    """Return a folder to write into, made where it is missing; a page is written to try it, so that a full disk is found too.

    Raises:
        InputError: something else is there, or nothing can be written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(4096))
    except OSError as error:
        reason = 'a file of that name is there' if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise InputError(f'{what} {path}: cannot be written ({reason}). Name another folder, or make room.') from error
    return Path(path)


def check_device(name: str) -> str:
    """Return the name of a device that torch has here.

    Raises:
        InputError: no such device.
    """
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        here = ', '.join(['cpu', *(f'cuda:{index}' for index in range(torch.cuda.device_count()))])
        raise InputError(f'device {name!r}: torch finds no such device here, expected one of: {here}. Use cpu, or a machine with a GPU.') from error
    return name
