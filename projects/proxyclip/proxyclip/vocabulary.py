"""Which words stand for which class: the published lists of the eight benchmarks, a file, or the user's own names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmsparse.errors import InputError

# What the background of VOC and of COCO-Object is made of (ProxyCLIP, arXiv 2408.04883; the lists of SCLIP, arXiv
# 2312.01597).
BACKGROUND_COMMON = 'sky, wall, tree, wood, grass, road, sea, river, mountain, sands, desk, bed, building, cloud'
BACKGROUND = {
    'voc21': f'{BACKGROUND_COMMON}, lamp, door, window, wardrobe, ceiling, shelf, curtain, stair, floor, hill, rail, '
    'fence',
    'coco_object': f'{BACKGROUND_COMMON}, floor, hill, rail',
}
RENAMED = {'boat': 'ship', 'diningtable': 'table'}
# Dataset of mmseg whose class names are taken.
SOURCES = {
    'voc20': 'PascalVOCDataset',
    'voc21': 'PascalVOCDataset',
    'context59': 'PascalContextDataset59',
    'context60': 'PascalContextDataset',
    'coco_object': 'COCOStuffDataset',
    'coco_stuff': 'COCOStuffDataset',
    'ade20k': 'ADE20KDataset',
    'cityscapes': 'CityscapesDataset',
}
COCO_THINGS = 80


@dataclass(frozen=True)
class Vocabulary:
    """Classes and the words that stand for them.

    Args:
        classes: names for legends and messages, one per class.
        queries: what the text encoder reads, all classes in order.
        query_class: class of each query.
    """

    classes: tuple[str, ...]
    queries: tuple[str, ...]
    query_class: tuple[int, ...]

    @classmethod
    def of(cls, words: Sequence[Sequence[str]], where: str) -> Vocabulary:
        """Number classes that a user gave.

        Args:
            words: the synonyms of each class; the first names it.
            where: for errors.

        Raises:
            InputError: no class, an empty name, or one that stands twice.
        """
        if not words or not all(words):
            raise InputError(
                f'{where}: received {"no classes" if not words else "a class without a name"}. Name at least one, '
                'such as "cat; sofa".'
            )
        queries = [query for synonyms in words for query in synonyms]
        twice = sorted({query for query in queries if queries.count(query) > 1})
        if twice:
            raise InputError(
                f'{where}: received {", ".join(map(repr, twice))} more than once. Each name may stand for one class, '
                'once.'
            )
        return cls.numbered(words)

    @classmethod
    def numbered(cls, words: Sequence[Sequence[str]]) -> Vocabulary:
        """Number classes as they are."""
        queries = [(query, index) for index, synonyms in enumerate(words) for query in synonyms]
        return cls(tuple(synonyms[0] for synonyms in words), *zip(*queries))


def vocabulary(classes: str | Sequence[str]) -> Vocabulary:
    """Return the vocabulary that a config or a command names.

    Args:
        classes: a benchmark ('voc20', 'voc21', 'context59', 'context60', 'coco_object', 'coco_stuff', 'ade20k',
            'cityscapes'); a file with one class per line; or a list of classes. Commas or semicolons part the synonyms
            of a class; the first one names it.

    Raises:
        InputError: nothing of that name, no classes, or a name twice.
    """
    if not isinstance(classes, str):
        return Vocabulary.of([_synonyms(entry) for entry in classes], 'classes')
    if classes in SOURCES:
        # COCO-Object's list has 'bed' twice, as an object and in the background
        return Vocabulary.numbered(_benchmark(classes))
    file = Path(classes)
    if not os.path.isfile(file):  # Path.is_file() fails where the text is too long for a name
        raise InputError(f'classes: received {classes!r}, which is neither a file nor one of {", ".join(SOURCES)}.')
    try:
        lines = file.read_text(encoding='utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f'{file}: not a text file ({error}). Expected one class per line.') from error
    return Vocabulary.of([_synonyms(line) for line in lines if line.strip()], str(file))


def _synonyms(entry: str) -> list[str]:
    return [word for part in re.split('[,;]', entry) if (word := part.strip())]


def _benchmark(name: str) -> list[list[str]]:
    """Follow the published lists: VOC renames two classes, three sets join the words of a name, two describe their
    background.
    """
    import mmseg.datasets

    names = list(getattr(mmseg.datasets, SOURCES[name]).METAINFO['classes'])
    if name in ('voc20', 'voc21'):
        names = [RENAMED.get(word, word) for word in names[1:]]
    elif name == 'coco_object':
        names = names[:COCO_THINGS]
    elif name in ('coco_stuff', 'ade20k', 'cityscapes'):
        names = [word.replace(' ', '') for word in names]
    words = [[word] for word in names]
    return [_synonyms(BACKGROUND[name]), *words] if name in BACKGROUND else words
