"""What happens to files on their way, and what a stranger may do to them on purpose."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from random import Random

GONE = object()  # the entry goes
LIES = (GONE, None, 'x', -1, 10**12, 10**400, 1.5, [], {}, True, {'$float': 'nan'}, [None], {'x': 'y'})
CODE = (
    'import planted',
    "__import__('planted')",
    'planted.touch',
    '!!python/object/apply:planted.touch []',
    '{{planted.touch()}}',
)


class Sentinel:
    """Unpickling one imports a module that leaves a trace."""

    def __reduce__(self):
        return __import__, ('planted',)


def flip(file: Path, draw: Random, outside: Path) -> None:
    """Flip one to eight bits."""
    content = bytearray(file.read_bytes())
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def cut(file: Path, draw: Random, outside: Path) -> None:
    """Cut the end off, or all."""
    content = file.read_bytes()
    file.write_bytes(content[: draw.randrange(len(content))])


def blank(file: Path, draw: Random, outside: Path) -> None:
    """Write zeros over a part, as a file system does after a crash."""
    content = bytearray(file.read_bytes())
    start = draw.randrange(len(content))
    length = min(draw.randint(1, 512), len(content) - start)
    content[start : start + length] = bytes(length)
    file.write_bytes(content)


def lengthen(file: Path, draw: Random, outside: Path) -> None:
    """Append something."""
    file.write_bytes(file.read_bytes() + draw.choice([b'\0', b'{}', draw.randbytes(64)]))


def lose(file: Path, draw: Random, outside: Path) -> None:
    """Remove it."""
    file.unlink()


def exchange(file: Path, draw: Random, outside: Path) -> None:
    """Put a pickle in its place that runs code, or a folder, a pipe, a page."""
    kind = draw.choice(['pickle', 'pickle', 'folder', 'pipe', 'page'])
    file.unlink()
    if kind == 'folder':
        file.mkdir()
    elif kind == 'pipe':
        os.mkfifo(file)
    else:
        file.write_bytes(pickle.dumps(Sentinel()) if kind == 'pickle' else b'<!DOCTYPE html>' * 40)


def link(file: Path, draw: Random, outside: Path) -> None:
    """Let it lead to a file of somebody else, to a device, to itself, or nowhere."""
    file.unlink()
    file.symlink_to(draw.choice([outside / 'secret.json', outside / 'secret.json', '/dev/zero', file, '/nowhere']))


def lie(file: Path, draw: Random, outside: Path) -> None:
    """Tell a lie at some place; of tensors, in their header."""
    _change(file, draw, lambda content, place: tell(content, place, draw.choice(LIES)))


def plant(file: Path, draw: Random, outside: Path) -> None:
    """Write code in the place of one text or of all, or as a new key."""
    text = draw.choice(CODE)

    def change(content, place):
        texts = [each for each, value in places(content) if isinstance(value, str)]
        for each in draw.choice([texts, [draw.choice(texts)]]) if texts else ():
            tell(content, each, text)
        if isinstance(parent := _at(content, place[:-1]), dict):
            parent[draw.choice([place[-1], 'custom_imports'])] = text

    _change(file, draw, change)


def point(file: Path, draw: Random, outside: Path) -> None:
    """Write the path of a file outside in the place of a text, or of what a config names files by."""

    def change(content, place):
        texts = [each for each, value in places(content) if isinstance(value, str)]
        named = [each for each, _ in places(content) if each[-1] in ('checkpoint', 'data_root', 'load_from', '_base_')]
        path = str(outside / draw.choice(['secret.json', 'secret.safetensors', 'secret.py']))
        for each in [*named, draw.choice(texts)] if texts else named:
            tell(content, each, path)

    _change(file, draw, change)


def deepen(file: Path, draw: Random, outside: Path) -> None:
    """Nest deeper than a parser likes."""
    depth = draw.choice([500, 3_000, 200_000])
    opened, closed = draw.choice([('[', ']'), ('{"a":', '}')])
    _write(file, f'{opened * depth}1{closed * depth}'.encode())


DAMAGES = (flip, flip, cut, blank, lengthen, lose, exchange, link, lie, lie, plant, plant, point, deepen)


def _change(file: Path, draw: Random, change) -> None:
    content = json.loads(_read(file))
    change(content, draw.choice([place for place, _ in places(content)]))
    _write(file, json.dumps(content).encode())


def _read(file: Path) -> bytes:
    content = file.read_bytes()
    if file.suffix == '.json':
        return content
    (length,) = struct.unpack('<Q', content[:8])
    return content[8 : 8 + length]


def _write(file: Path, text: bytes) -> None:
    if file.suffix != '.json':
        content = file.read_bytes()
        (length,) = struct.unpack('<Q', content[:8])
        text = struct.pack('<Q', len(text)) + text + content[8 + length :]
    file.write_bytes(text)


def places(node, place: tuple = ()) -> Iterator[tuple[tuple, object]]:
    """Yield the path of every entry, and the entry."""
    if place:
        yield place, node
    for key, item in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(item, (*place, key))


def _at(content, place: Sequence):
    for key in place:
        content = content[key]
    return content


def tell(content, place: Sequence, lie) -> None:
    """Let the entry at a place be a lie, or go."""
    node = _at(content, place[:-1])
    if lie is GONE:
        del node[place[-1]]
    else:
        node[place[-1]] = deepcopy(lie)
