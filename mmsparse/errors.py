"""The one error that a user's input raises; tools print it without a traceback."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """A value that the user gave cannot be used. The text says what was received, what is expected and what to do
    next.

    Attributes:
        status: with which a tool ends.
    """

    status = 2

    def __str__(self) -> str:
        """The text, with escapes for what of a file's name is not UTF-8: no log and no terminal would take it."""
        return super().__str__().encode(errors='backslashreplace').decode()


class StorageError(InputError):
    """A disk is full, or a folder has gone or cannot be written: nothing that another value would mend."""

    status = 74  # EX_IOERR of sysexits.h


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop and has saved all that it needs to go on. The text says by what and where."""

    status = 75  # EX_TEMPFAIL


@contextmanager
def in_words(lead: str, remedy: str = '') -> Iterator[None]:
    """Let whatever a library raises for a value of the user be an InputError: lead, the library's own words,
    remedy.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = ' '.join(f'{type(error).__name__}: {error}'.removesuffix(': ').split())
        raise InputError(f'{lead} ({reason}). {remedy}'.strip()) from error


def refuse(faults: Iterable[str]) -> None:
    """Raise the first of several sentences, each of which says what is wrong; without any all is well."""
    for fault in faults:
        raise InputError(fault)
