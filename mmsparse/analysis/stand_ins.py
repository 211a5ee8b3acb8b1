"""Generated pictures in the files and folders of a data set, so that a config runs from disk without its data.

What a set looks like on disk is told by its class: mmpretrain's CIFAR10 and CIFAR100 (pickles), `mmsparse.SVHN`
(.mat), Food101 (lists and folders), CustomDataset (class folders or a list), `mmsparse.VTAB` (lists of a task),
`mmsparse.VideoList` (the lists of Kinetics and Something-Something), and every BaseSegDataset of mmseg (pictures and
label maps in their folders). A class that is derived from one of them is written alike.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from hashlib import md5
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain.datasets import CIFAR10, CustomDataset, Food101
from mmseg.datasets import BaseSegDataset
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as torchvision_datasets

from mmsparse.datasets.digits import Digits
from mmsparse.datasets.small_vtab.dataset import SmallVTAB
from mmsparse.datasets.svhn import SVHN
from mmsparse.datasets.unseen_photos import UnseenPhotos
from mmsparse.datasets.video.moving_digits import MovingDigits
from mmsparse.datasets.video.tiny_clips import TinyClips
from mmsparse.datasets.video.video_list import VideoList
from mmsparse.datasets.vtab.dataset import VTAB
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.utils.hints import find_type

SHIPPED = (Digits, MovingDigits, SmallVTAB, TinyClips, UnseenPhotos)  # come with a package
SIZE = (60, 90)  # height and width in pixels, where a set does not fix them


def write_stand_in(
    node: dict[str, Any], root: Path, count: int, classes: int, scope: str, side: int | None = None
) -> str:
    """Write pictures of noise for a data set, and let it read them.

    Args:
        node: the data set's config; its `data_root` is set to `root`.
        root: folder to write into; what is there already stays.
        count: pictures to write.
        classes: that the config tells apart, for sets whose class does not say it.
        scope: in which the type is looked up.
        side: of the pictures in pixels, where the pipeline takes them as they are.

    Returns:
        What was written, for people to read: 'shipped' where a set needs no files, '' where nothing is known of its
        class; `node` is then as it was.
    """
    kind = find_type(node['type'], scope, 'dataset', ('DATASETS',))
    if issubclass(kind, SHIPPED):
        return 'shipped'
    write = next((write for known, write in WRITERS.items() if issubclass(kind, known)), None)
    if write is None or any(Path(str(path)).is_absolute() for path in _paths(node)):
        return ''
    node['data_root'] = str(root)
    steps = str([step['type'] for step in node.get('pipeline') or ()])
    size = SIZE if side is None or 'Resize' in steps else (side, side)
    with DefaultScope.overwrite_default_scope(scope):
        write(kind, node, root, count, classes, size)
    return 'stand-in'


def write_classes(
    root: Path, count: int, classes: int, names: list[str] | None = None, size: tuple[int, int] = SIZE
) -> None:
    """Write pictures into a folder for each class."""
    names = names or [f'class_{label}' for label in range(classes)]
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    for index in range(count):
        picture(index, root / names[index % len(names)] / f'{index:04d}.jpg', size)


def picture(seed: int, file: Path | None = None, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Noise whose brightness differs from one seed to the next, H×W×3, uint8, RGB; written to a file too, if named."""
    noise = np.random.default_rng(seed).integers(0, 120, (*size, 3)) + 40 * (seed % 4)
    pixels = noise.astype(np.uint8)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return pixels


def _paths(node: Mapping) -> list:
    prefix = node.get('data_prefix') or {}
    return [node.get('ann_file') or '', *(prefix.values() if isinstance(prefix, Mapping) else [prefix])]


def _cifar(kind: type[CIFAR10], node: dict, root: Path, count: int, classes: int, size) -> None:
    folder = root / kind.base_folder
    folder.mkdir(parents=True, exist_ok=True)
    key = 'fine_labels' if 'fine' in kind.meta['key'] else 'labels'
    for name, _ in kind.train_list + kind.test_list:
        data = np.stack([picture(index, size=(32, 32)).transpose(2, 0, 1).ravel() for index in range(count)])
        batch = {'data': data, key: [index % len(kind.METAINFO['classes']) for index in range(count)]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / kind.meta['filename']).write_bytes(pickle.dumps({kind.meta['key']: list(kind.METAINFO['classes'])}))
    kind._check_integrity = lambda self: True


def _svhn(kind: type[SVHN], node: dict, root: Path, count: int, classes: int, size) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, known in torchvision_datasets.SVHN.split_list.items():
        if name == 'extra':
            continue
        file = root / known[1]
        pictures = np.stack([picture(index, size=(32, 32)) for index in range(count)], axis=-1)
        if not file.is_file():
            savemat(file, dict(X=pictures, y=np.arange(count)[:, None] % 10 + 1))
        known[2] = md5(file.read_bytes()).hexdigest()


def _food101(kind: type[Food101], node: dict, root: Path, count: int, classes: int, size) -> None:
    names = kind.METAINFO['classes']
    pairs = [f'{names[index % len(names)]}/{index}' for index in range(count)]
    for index, pair in enumerate(pairs):
        picture(index, root / f'images/{pair}.jpg')
    (root / 'meta').mkdir(exist_ok=True)
    for split in ('train', 'test'):
        (root / f'meta/{split}.txt').write_text('\n'.join(pairs))


def _vtab(kind: type[VTAB], node: dict, root: Path, count: int, classes: int, size) -> None:
    task = node['task']
    lines = [f'images/{index:06d}.jpg {index % TASKS[task].classes}\n' for index in range(count)]
    for index, line in enumerate(lines):
        picture(index, root / task / line.split()[0])
    for split in ('train800', 'val200', 'train800val200', 'test'):
        (root / task / f'{split}.txt').write_text(''.join(lines))


def _custom(kind: type[CustomDataset], node: dict, root: Path, count: int, classes: int, size) -> None:
    made = DATASETS.build(dict(node, lazy_init=True, pipeline=[]))
    if not made.ann_file:
        write_classes(Path(made.img_prefix), count, classes, list(made.CLASSES or ()), size)
        return
    lines = [f'{index:06d}.jpg' + f' {index % classes}' * made.with_label for index in range(count)]
    for index, line in enumerate(lines):
        picture(index, Path(made.img_prefix) / line.split()[0], size)
    Path(made.ann_file).parent.mkdir(parents=True, exist_ok=True)
    Path(made.ann_file).write_text('\n'.join(lines))


def _videos(kind: type[VideoList], node: dict, root: Path, count: int, classes: int, size) -> None:
    """A clip that travels with the package, under many names: of Kinetics one per class, for its list names them."""
    clip, folder = files('mmsparse') / 'assets/tiny_clip_0.mp4', root / (node.get('data_prefix') or '')
    folder.mkdir(parents=True, exist_ok=True)
    if node.get('labels'):  # Something-Something
        names = {f'template {label}': str(label) for label in range(classes)}
        (root / node['labels']).write_text(json.dumps(names))
        rows = [dict(id=str(index), template=f'template {index % classes}') for index in range(count)]
        (root / node['ann_file']).write_text(json.dumps(rows))
        paths = [f'{index}.webm' for index in range(count)]
    else:
        rows = [f'class {label:04d},video_{label:05d},0,10,split' for label in range(max(count, classes))]
        (root / node['ann_file']).write_text('\n'.join(['label,youtube_id,time_start,time_end,split', *rows]))
        paths = [f'video_{label:05d}_000000_000010.mp4' for label in range(len(rows))]
    for path in paths:
        if not (folder / path).exists():
            (folder / path).symlink_to(str(clip))


def _segmentation(kind: type[BaseSegDataset], node: dict, root: Path, count: int, classes: int, size) -> None:
    for path in _paths(node):  # some sets of mmseg look for their files before they are asked for a picture
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch() if Path(path).suffix else (root / path).mkdir(exist_ok=True)
    made = DATASETS.build(dict(node, lazy_init=True, pipeline=[]))
    first = int(bool(made.reduce_zero_label))
    stripes = first + np.arange(SIZE[1]) * len(made.metainfo['classes']) // SIZE[1]
    names = [f'stand/in_{index:06d}' if not made.ann_file else f'in_{index:06d}' for index in range(count)]
    for index, name in enumerate(names):
        picture(index, Path(made.data_prefix['img_path']) / (name + made.img_suffix))
        file = Path(made.data_prefix['seg_map_path']) / (name + made.seg_map_suffix)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.tile(np.roll(stripes, 7 * index).astype(np.uint8), (SIZE[0], 1))).save(file)
    if made.ann_file:
        Path(made.ann_file).parent.mkdir(parents=True, exist_ok=True)
        Path(made.ann_file).write_text('\n'.join(names))


# The first that a class is derived from. CIFAR and SVHN check sums of their files: whoever writes one of these accepts
# the stand-in's for the rest of the process.
WRITERS: dict[type, Callable[[type, dict, Path, int, int, tuple[int, int]], None]] = {
    CIFAR10: _cifar,
    SVHN: _svhn,
    Food101: _food101,
    VTAB: _vtab,
    CustomDataset: _custom,
    VideoList: _videos,
    BaseSegDataset: _segmentation,
}
