"""The nearest right spelling of what is misspelt; imports nothing, so that a missing config is answered at once."""

from collections.abc import Callable, Collection
from difflib import get_close_matches


def did_you_mean(
    received: str | Collection[str],
    known: Collection[str],
    most: int = 3,
    cutoff: float = 0.6,
    write: Callable[[str], object] = str,
) -> str:
    """Return ' Did you mean A or B?', the known names nearest to what was received, or nothing where none is near.

    Args:
        received: a name, or several.
        known: the right ones.
        most: how many to propose for each.
        cutoff: how near they must be, in [0, 1], as for difflib.
        write: gives what is shown for a known name, such as `repr`.
    """
    names = [received] if isinstance(received, str) else received
    near = dict.fromkeys(
        match for name in names for match in get_close_matches(name, list(known), n=most, cutoff=cutoff)
    )
    return f' Did you mean {" or ".join(str(write(name)) for name in near)}?' if near else ''
