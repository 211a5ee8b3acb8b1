"""A few configs that together use everything that all of them use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mmengine.config import Config

from mmsparse.utils.packaged import found


def uses(cfg: Config) -> frozenset[str]:
    """Return what a config is made of: the types that it names anywhere, and the files that it inherits."""
    return frozenset(_types(cfg._cfg_dict)) | {f'file {path}' for path in _bases(Path(cfg.filename))}


def cover(used: Mapping[str, frozenset[str]], effort: Mapping[str, float]) -> list[str]:
    """Choose configs until everything is used, each time the one that adds most for its effort.

    Args:
        used: by config, as `uses` returns it.
        effort: of running each, above 0.

    Returns:
        The chosen ones, in the order of their choice.
    """
    chosen, missing = [], frozenset().union(*used.values()) if used else frozenset()
    while missing:
        best = max(used, key=lambda name: (len(used[name] & missing) / effort[name], name))
        chosen.append(best)
        missing -= used[best]
    # what later choices have made superfluous
    for name in list(chosen):
        others = frozenset().union(*(used[other] for other in chosen if other != name))
        if used[name] <= others:
            chosen.remove(name)
    return chosen


def _types(node) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get('type'), str):
            yield node['type']
        node = list(node.values())
    for value in node if isinstance(node, list | tuple) else ():
        yield from _types(value)


def _bases(path: Path) -> Iterator[str]:
    for base in Config._get_base_files(str(path)):
        file = found(base) if '::' in base else (path.parent / base).resolve()
        if file.is_file():
            if '_base_' in file.parts:  # what only leaves inherit is a leaf itself
                yield f'{file.parent.name}/{file.name}'
            yield from _bases(file)
