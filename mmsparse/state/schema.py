"""The form of what a state says, checked by pydantic: one sentence names the file and its first wrong entries."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from mmsparse.errors import InputError

Count = Annotated[int, Field(strict=True, ge=0)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_adapter = cache(TypeAdapter)


def validated(kind: type, content: Any, lead: str, remedy: str) -> Any:
    """Return content as a dataclass or TypedDict says it is; what is nested deeper than 255 levels is refused.

    Args:
        kind: what is expected.
        content: plain values, or the bytes of JSON.
        lead, remedy: how the sentence begins and ends.

    Raises:
        InputError: no JSON, or entries that are missing, of another type, or too many.
    """
    try:  # json's reader, as pydantic's own takes no path whose bytes are not UTF-8
        return _adapter(kind).validate_python(json.loads(content) if isinstance(content, bytes) else content)
    except (ValueError, RecursionError) as error:
        reasons = (
            '; '.join(map(_said, error.errors()[:3]))
            if isinstance(error, ValidationError)
            else f'{type(error).__name__}: {error}'
        )
        raise InputError(f'{lead}, {reasons}. {remedy}') from error


def _said(error: Any) -> str:
    place = '.'.join(map(str, error['loc'][:8])) or 'its content'
    if error['type'] == 'missing':
        return f'it lacks {place}'
    return f'{place}: received {str(error["input"])[:80]!r}, {error["msg"][0].lower()}{error["msg"][1:]}'
