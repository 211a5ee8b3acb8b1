"""The raw sets of VTAB-1K's structured tasks. Each reader takes the folder of raw sets, and whether torchvision may
download what is missing there.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision import datasets as tv

from mmsparse.datasets.vtab import labels
from mmsparse.datasets.vtab.pictures import Parts, Pictures, listed, of_hub, shares
from mmsparse.errors import InputError

DSPRITES = 'dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz'
LATENTS = {'orientation': (3, 40), 'x position': (4, 32)}  # column, and how many values
NORB_TYPES = {0x1E3D4C55: np.uint8, 0x1E3D4C54: np.dtype('<i4')}  # by the first word of a file
NORB = {'elevation': (1, int), 'azimuth': (2, labels.smallnorb_azimuth)}  # column, and rule


def clevr(rule: Callable) -> Callable[[Path, bool], Parts]:
    """Return the reader of scenes of simple solids, labels by a rule on their objects; val from a tenth of train."""

    def read(raw: Path, download: bool) -> Parts:
        if download:
            tv.CLEVRClassification(raw, download=True)
        folder = raw / 'clevr/CLEVR_v1.0'

        def part(name: str) -> Pictures:
            scenes = json.loads((folder / f'scenes/CLEVR_{name}_scenes.json').read_text())['scenes']
            images = folder / 'images' / name
            return listed([(images / scene['image_filename'], rule(scene['objects'])) for scene in scenes])

        return Parts(*shares(part('train'), 90, 10), part('val'))

    return read


def dmlab(raw: Path, download: bool) -> Parts:
    """Views from a maze, in the parts of a copy on the hub; val is from a tenth of train."""
    train, test = (of_hub('clip-benchmark/wds_vtab-dmlab', split, raw) for split in ('train', 'test'))
    return Parts(*shares(train, 90, 10), test)


def kitti(raw: Path, download: bool) -> Parts:
    """Streets; a tenth of the drives for val and one for test, those that TFDS draws."""
    if download:
        tv.Kitti(raw, download=True)
    folder = raw / 'Kitti/raw'
    lines = (folder / 'mapping/train_mapping.txt').read_text().splitlines()
    order = [int(word) - 1 for word in (folder / 'mapping/train_rand.txt').read_text().split(',')]
    drives = [lines[line].split()[1] for line in order]
    random, names = np.random.RandomState(123), sorted(set(drives))
    count = max(1, len(names) * 10 // 100)
    test = set(random.choice(names, count, replace=False))
    val = set(random.choice(sorted(set(names) - test), count, replace=False))

    def part(chosen: set) -> Pictures:
        numbers = [f'{number:06d}' for number, drive in enumerate(drives) if drive in chosen]
        texts = ((folder / f'training/label_2/{number}.txt').read_text() for number in numbers)
        places = (folder / f'training/image_2/{number}.png' for number in numbers)
        return listed([(place, labels.kitti_distance(text.splitlines())) for place, text in zip(places, texts)])

    return Parts(part(set(names) - test - val), part(val), part(test))


def dsprites(latent: str) -> Callable[[Path, bool], Parts]:
    """Return the reader of white shapes, labels by one of LATENTS; 80, 10 and 10 %. It holds 3 GB in memory."""
    column, values = LATENTS[latent]

    def read(raw: Path, download: bool) -> Parts:
        with np.load(raw / DSPRITES) as file:
            images, classes = file['imgs'], file['latents_classes'][:, column]

        def item(index: int):
            image = Image.fromarray(images[index] * 255).convert('RGB')
            return image, labels.dsprites_bin(int(classes[index]), values)

        return Parts(*shares(Pictures(len(images), item), 80, 10, 10))

    return read


def smallnorb(attribute: str) -> Callable[[Path, bool], Parts]:
    """Return the reader of toys, seen by the left camera, labels by one of NORB; val and test halve testing."""
    column, rule = NORB[attribute]

    def read(raw: Path, download: bool) -> Parts:
        def part(name: str) -> Pictures:
            images, info = (norb_matrix(raw / 'smallnorb', f'*-{name}-{kind}.mat.gz') for kind in ('dat', 'info'))
            return Pictures(
                len(images),
                lambda index: (Image.fromarray(images[index, 0]).convert('RGB'), rule(int(info[index, column]))),
            )

        return Parts(part('training'), *shares(part('testing'), 50, 50))

    return read


def norb_matrix(folder: Path, pattern: str) -> np.ndarray:
    """Read a matrix: a word for its type, the number of dimensions, at least three sizes, then the values.

    Raises:
        FileNotFoundError: no such file.
        InputError: another kind of file.
    """
    path = next(folder.glob(pattern), None)
    if path is None:
        raise FileNotFoundError(folder / pattern)
    content = gzip.decompress(path.read_bytes())
    kind, dimensions = np.frombuffer(content, '<i4', 2)
    if int(kind) not in NORB_TYPES:
        raise InputError(f'{path}: received a file of kind {int(kind):#x}, expected a matrix of bytes or integers.')
    start = 8 + 4 * max(3, int(dimensions))
    sizes = np.frombuffer(content, '<i4', int(dimensions), 8)
    return np.frombuffer(content, NORB_TYPES[int(kind)], offset=start).reshape(sizes)
