"""The form of what a state says, checked by pydantic: one sentence names the file and its first wrong entries."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mmsparse.errors import InputError


def read_json(kind: type, path: Path, lead: str, remedy: str) -> Any:
    """Read a JSON file as `validated` does its content.

    Raises:
        InputError: no JSON, or of another form.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f'{lead}, {type(error).__name__}: {error}. {remedy}') from error
    return validated(kind, content, lead, remedy)


def validated(kind: type, content: Any, lead: str, remedy: str) -> Any:
    """Return content as a dataclass or TypedDict says it is; deeper than 255 levels nothing is read.

    Args:
        kind: what is expected.
        content: from JSON.
        lead, remedy: how the sentence begins and ends.

    Raises:
        InputError: entries that are missing, of another type, or too many.
    """
    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as error:
        raise InputError(f'{lead}, {"; ".join(map(_words, error.errors()[:3]))}. {remedy}') from error


_adapter = cache(TypeAdapter)


def _words(error: Any) -> str:
    place = '.'.join(map(str, error['loc'][:8])) or 'its content'
    if error['type'] == 'missing':
        return f'it lacks {place}'
    return f'{place}: received {str(error["input"])[:80]!r}, {error["msg"][0].lower()}{error["msg"][1:]}'
