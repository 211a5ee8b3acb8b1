"""From a folder of class folders to lists of pictures: layouts, hold-out, and an account of all that is left out."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mmsparse.datasets.image_files import Found, extensions, image_files
from mmsparse.datasets.load_image import LoadImage
from mmsparse.errors import InputError, refuse

PARTS = {'train': ('train', 'training'), 'val': ('val', 'valid', 'validation'), 'test': ('test', 'testing')}
WANTED = (
    'Expected a folder with one sub-folder of pictures for each class, or train and val (or test) with one for each '
    'class in them.'
)

Labelled = list[tuple[str, int]]  # path below the folder, with slashes, and label


@dataclass
class ClassFolders:
    """What `read_folder` found.

    Attributes:
        classes: names of the class folders, sorted.
        parts: pictures of train and val, and of test where the folder has all three.
        notes: rows for a card: what is held out, and what is left out.
    """

    classes: list[str]
    parts: dict[str, Labelled]
    notes: dict[str, str] = field(default_factory=dict)


def read_folder(root: str | Path, hold_out: float = 0.2, seed: int = 0, nested: bool = False) -> ClassFolders:
    """Find classes and pictures below a folder; each is decoded once, so that none ends a training in its middle.

    Layouts: ROOT/CLASS/…, or ROOT/{train,val,test}/CLASS/…, where val may be called valid or validation, and one of
    val and test may be missing. Some pictures of a class may lie in folders of their own inside it.

    Args:
        root: the folder.
        hold_out: share of each class that becomes val where the folder has neither val nor test; at least one picture
            of two or more.
        seed: of the choice, which depends on the pictures' paths below their part alone, and on no order of a file
            system.
        nested: whether all of them may; without a word a folder one level too high would look like that.

    Raises:
        InputError: no such folder, or one in which there are not pictures of two classes or more.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f'--data {root}: {"this is a file" if root.exists() else "no such folder"}. {WANTED}')
    if not 0 < hold_out < 1:
        raise InputError(
            f'own_folder.hold_out: received {hold_out}, expected a share of each class in (0, 1), such as 0.2.'
        )
    places, ignored = _places(root)
    found = {part: image_files(place) for part, place in places.items()}
    broken = _broken([path for listed in found.values() for path in listed.images])
    grouped = {
        part: _by_class(places[part], [path for path in listed.images if path not in broken])
        for part, listed in found.items()
    }
    classes, loose = (
        sorted(grouped['train'].keys() - {''}),
        [path for group in grouped.values() for path in group.pop('', [])],
    )
    labelled = list(enumerate(classes))
    parts = {
        part: [(_below(root, path), label) for label, name in labelled for path in group.get(name, [])]
        for part, group in grouped.items()
    }
    notes = {}
    if len(places) == 1:
        parts['train'], parts['val'] = _hold_out(parts['train'], root, places['train'], hold_out, seed)
        notes['hold-out'] = _held(parts['val'], classes, hold_out, seed)
    elif 'val' not in parts:
        parts['val'] = parts.pop('test')
    deep = not nested and not any(len(path.relative_to(places['train']).parts) == 2 for path in found['train'].images)
    faults = (
        *_level_faults(root, places['train'], classes, loose, deep),
        *_class_faults(places, grouped, classes, parts),
    )
    refuse(f'--data {root}: {fault}' for fault in faults)
    empty = sorted({name for place in places.values() for name in _folders(place)} - set(classes))
    if account := _account(root, found.values(), broken, loose, empty, ignored):
        notes['left out'] = account
    return ClassFolders(classes, parts, notes)


def _level_faults(root: Path, place: Path, classes: list[str], loose: list[Path], deep: bool) -> Iterator[str]:
    """Say where a folder one level too high or too low was named."""
    if len(classes) > 1:
        if all('train' in map(_part_of, _folders(place / name)) for name in classes):
            yield f'each of {_some(classes)} has a folder train of its own. Name one: --data {root / classes[0]}.'
        if deep:
            yield (
                f'the pictures of {_some(classes)} all lie in sub-folders of these. Name the folder above the '
                f'classes, such as --data {place / classes[0]}; or, if these are the classes, add --cfg-options '
                'own_folder.nested=True.'
            )
    elif classes:
        inner = _folders(place / classes[0])
        hint = (
            f'Its sub-folders are {_some(inner)}: if these are the classes, name it: --data {place / classes[0]}.'
            if len(inner) > 1
            else WANTED
        )
        yield f'only one class has pictures, {classes[0]!r}, expected two or more. {hint}'
    elif loose:
        told = f'{len(loose)} pictures lie in this folder itself, so there is no class.'
        yield f'{told} {WANTED} Is it the folder above?'
    else:
        yield f'no picture that can be read is below this folder. {WANTED}'


def _class_faults(
    places: dict[str, Path], grouped: dict[str, dict], classes: list[str], parts: dict[str, Labelled]
) -> Iterator[str]:
    """Say which parts have classes that train lacks, or no picture."""
    for part, group in grouped.items():
        if lacking := sorted(group.keys() - set(classes)):
            yield (
                f'{places[part].name} has classes that {places["train"].name} lacks: {_some(lacking)}. Move or add '
                'them.'
            )
    if len(places) == 1 and not parts['val']:
        yield 'every class has one picture only, so none can be held out. Add pictures, or a folder val.'
    if without := [part for part, rows in parts.items() if not rows]:
        yield f'no picture for {" and ".join(without)}. {WANTED}'


def _places(root: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the folder of each part, the root alone where there are none, and the folders beside the parts."""
    folders = _folders(root)
    named = {part: [name for name in folders if _part_of(name) == part] for part in PARTS}
    if not named['train'] or not _folders(root / named['train'][0]) or _holds_images(root / named['train'][0]):
        above, own = root.resolve().parent, _part_of(root.resolve().name)
        if own and (beside := [name for name in _folders(above) if _part_of(name) not in (None, own)]):
            raise InputError(
                f'--data {root}: this is one part of a folder that also has {_some(beside)}. Name the folder above: '
                f'--data {above}.'
            )
        return {'train': root}, []
    if twice := [names for names in named.values() if len(names) > 1]:
        raise InputError(f'--data {root}: received {" and ".join(twice[0])}, which mean the same. Keep one of them.')
    # A folder test without classes, as competitions hand it out, has no labels.
    places = {part: root / names[0] for part, names in named.items() if names and _folders(root / names[0])}
    return places, [name for name in folders if root / name not in places.values()]


def _part_of(name: str) -> str | None:
    return next((part for part, names in PARTS.items() if name.lower() in names), None)


def _holds_images(folder: Path) -> bool:
    return any(Path(entry.name).suffix.lower() in extensions() for entry in os.scandir(folder))


def _folders(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith('.') and entry.name != '__MACOSX'
    )


def _by_class(place: Path, images: Sequence[Path]) -> dict[str, list[Path]]:
    """Group pictures by the folder below `place` that holds them; '' has those that lie in `place` itself."""
    groups: dict[str, list[Path]] = {}
    for path in images:
        above = path.relative_to(place).parts[:-1]
        groups.setdefault(above[0] if above else '', []).append(path)
    return groups


def _hold_out(rows: Labelled, root: Path, place: Path, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """Part each class by the digests of its pictures' paths."""
    train, val = [], []
    for label in sorted({label for _, label in rows}):
        own = [path for path, number in rows if number == label]
        drawn = sorted(
            own,
            key=lambda path: hashlib.sha256(
                f'{seed} {_below(place, root / path)}'.encode(errors='surrogateescape')
            ).digest(),
        )
        count = min(max(1, round(share * len(own))), len(own) - 1)
        held = set(drawn[:count])
        train += [(path, label) for path in own if path not in held]
        val += [(path, label) for path in own if path in held]
    return train, val


def _held(val: Labelled, classes: list[str], share: float, seed: int) -> str:
    held = {label for _, label in val}
    single = [name for label, name in enumerate(classes) if label not in held]
    return f'{len(val):,} pictures, {share:.0%} of each class, seed {seed}' + (
        f'; none of {_some(single)}, with one picture each' if single else ''
    )


def _broken(images: Sequence[Path]) -> dict[Path, str]:
    """Decode every picture as training will; return the reasons of those that cannot be."""
    load = LoadImage()

    def reason(path: Path) -> str | None:
        try:
            load.transform(dict(img_path=str(path)))
        except InputError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        return {path: text for path, text in zip(images, pool.map(reason, images)) if text}


def _account(
    root: Path,
    found: Iterable[Found],
    broken: dict,
    loose: Sequence[Path],
    empty: Sequence[str],
    ignored: Sequence[str],
) -> str:
    others = Counter(path.suffix.lower() or path.name for listed in found for path in listed.others)
    hidden = sum(len(listed.hidden) for listed in found)
    kinds = ', '.join(f'{kind} {count}' for kind, count in others.most_common(4)) + (', …' if len(others) > 4 else '')
    rows = [
        f'{others.total():,} files that are no pictures ({kinds})' if others else '',
        f'{len(broken):,} that cannot be read ({_some([_below(root, path) for path in broken])})' if broken else '',
        f'{len(loose):,} pictures outside the class folders' if loose else '',
        f'{hidden:,} hidden files' if hidden else '',
        f'folders without a picture: {_some(empty)}' if empty else '',
        f'folders beside the parts: {_some(ignored)}' if ignored else '',
    ]
    return '; '.join(row for row in rows if row)


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:4]) + (f' and {len(names) - 4} more' if len(names) > 4 else '')
