"""What arguments may be: one refusal for each kind of value, when a part is built."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mmsparse.errors import InputError


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and is_finite(value)


def is_finite(value) -> bool:
    """Tell whether a number is finite as a float; integers that no float can hold are not."""
    return bool(abs(value) <= sys.float_info.max)


def is_whole(value: object) -> bool:
    """Tell whether a value is an integer; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_list(value: object) -> bool:
    """Tell whether a value is a sequence with at least one entry; a string is none."""
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def _refusing(fits: Callable[..., bool], words: str) -> Callable[..., None]:
    def check(what: str, value: object, *known) -> None:
        if not fits(value, *known[:1]):
            raise InputError(words.format(what, value, *known))

    check.__doc__ = (
        f'Refuse a value that is wrong: "{words}" with who asks, what was received, and the other arguments.'
    )
    return check


# Called with who asks, the value, and what the words name besides.
check_count = _refusing(
    lambda value, _: is_whole(value) and value >= 1, '{}={!r}, expected an integer of at least 1, such as {}.'
)
check_positive = _refusing(
    lambda value, _: is_number(value) and value > 0, '{}={!r}, expected a finite number above 0, such as {}.'
)
check_flag = _refusing(lambda value: isinstance(value, bool), '{}={!r}, expected True or False.')
check_word = _refusing(lambda value, known: value in known, '{}={!r}, expected one of {}.')
check_choices = _refusing(  # a bare string is a list of its letters, and never meant
    lambda values, known: is_list(values) and all(values.count(value) == 1 and value in known for value in values),
    '{}={!r}, expected some of {}, each once, such as {}.',
)
check_dropout = _refusing(
    lambda value: is_number(value) and 0 <= value < 1, '{}: dropout must lie in [0, 1), received {!r}.'
)
check_rate = _refusing(
    lambda value: is_number(value) and 0 < value <= 1,
    '{} must lie in (0, 1], received {!r}. For no reduction leave out the sparsifier or use 1.0.',
)
check_weight = _refusing(  # of a loss, which would be sought where it is negative
    lambda value: is_number(value) and value >= 0,
    '{} must be a number of at least 0, received {!r}. To leave that loss out use 0.',
)


def writable_folder(path: str | Path, what: str) -> Path:
    """Return a folder to write into, made where it is missing; 4 KiB are written to find a full disk.

    Raises:
        InputError: something else is there, or nothing can be written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(4096))
    except OSError as error:
        reason = (
            'a file of that name is there'
            if isinstance(error, FileExistsError | NotADirectoryError)
            else error.strerror
        )
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
        raise InputError(
            f'device {name!r}: torch finds no such device here, expected one of: {here}. Use cpu, or a machine with a '
            'GPU.'
        ) from error
    return name
