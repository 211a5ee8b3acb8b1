"""Nested Python values as JSON and named tensors, and back without loss: as pickle does, but nothing is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pack(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Split a nested value into what JSON can hold and tensors by name.

    Tuples, dicts with keys that are no strings, infinite floats, tensors and arrays become ``{'$kind': ...}``; all
    else stays as it is.

    Args:
        value: None, bools, ints, floats, strings, tensors, NumPy arrays, and lists, tuples and dicts of them. NumPy's
            scalars become Python's.

    Raises:
        TypeError: anything else; the text names the place.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(value, '', tensors), tensors


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the value that `pack` has split.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: not what `pack` returns.
    """
    if isinstance(packed, list):
        return [unpack(item, tensors) for item in packed]
    if not isinstance(packed, dict):
        return packed
    if not any(key.startswith('$') for key in packed):
        return {key: unpack(item, tensors) for key, item in packed.items()}
    ((kind, content),) = packed.items()
    if kind == '$tuple':
        return tuple(unpack(item, tensors) for item in content)
    if kind == '$dict':
        return {unpack(key, tensors): unpack(item, tensors) for key, item in content}
    if kind == '$float':
        return float(content)
    if kind == '$array':
        return tensors[content].numpy()
    if kind == '$tensor':
        return tensors[content]
    raise ValueError(f'received {kind!r}, expected $tuple, $dict, $float, $array or $tensor')


def _pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {'$float': str(value)}
    if isinstance(value, list):
        return [_pack(item, f'{place}.{index}', tensors) for index, item in enumerate(value)]
    if isinstance(value, tuple):
        return {'$tuple': [_pack(item, f'{place}.{index}', tensors) for index, item in enumerate(value)]}
    if isinstance(value, Mapping):
        items = [(key, _pack(item, f'{place}.{key}', tensors)) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith('$') for key, _ in items):
            return dict(items)
        return {'$dict': [[_pack(key, place, tensors), item] for key, item in items]}
    if isinstance(value, Tensor):
        return {'$tensor': _store(value.detach().cpu(), place, tensors)}
    if isinstance(value, np.ndarray):
        return {'$array': _store(torch.from_numpy(np.ascontiguousarray(value)).view(value.shape), place, tensors)}
    raise TypeError(
        f'{place.lstrip(".") or "value"}: received a {type(value).__name__}, expected plain values, tensors and '
        'containers of them'
    )


def _store(value: Tensor, place: str, tensors: dict[str, Tensor]) -> str:
    name = place.lstrip('.') or 'value'
    while name in tensors:  # the keys 1 and '1' of one dict have one place
        name += "'"
    tensors[name] = value.contiguous().clone()  # a file has no room for memory that two names share
    return name
