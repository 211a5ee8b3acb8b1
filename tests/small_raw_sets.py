"""Stand-ins for the raw sets of VTAB-1K, in the files and formats in which they are published.

Every picture shows a number, its mark, from which a task's label follows by hand (`LABELS`). `n` is how many pictures val
is drawn from; train has at least four times as many.
"""

import gzip
import io
import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as tv

TEST = 5
DEPTHS = (7.9, 8.0, 8.2, 8.5, 8.6, 9.5, 9.9, 10.0, 12.0)  # of the nearest object in a scene of Clevr
STREETS = (  # kinds of objects and their depths
    [('Car', 5.0), ('Car', 30.0)],
    [('Van', 8.0)],
    [('Truck', 8.01)],
    [('Car', 20.0)],
    [('Car', 25.0), ('Pedestrian', 3.0)],
    [('Cyclist', 2.0), ('DontCare', -1000.0), ('Tram', 4.0)],
)
LABELS = {  # by mark
    'svhn': (None, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0),
    'clevr_count': (0, 1, 2, 3, 4, 5, 6, 7, 0),
    'clevr_dist': (0, 0, 1, 1, 2, 3, 4, 4, 5),
    'kitti': (0, 0, 1, 1, 2, 3),
    'dsprites_loc': tuple(mark // 2 for mark in range(32)),
    'dsprites_ori': (
        0,
        0,
        0,
        1,
        1,
        2,
        2,
        2,
        3,
        3,
        4,
        4,
        4,
        5,
        5,
        6,
        6,
        6,
        7,
        7,
        8,
        8,
        8,
        9,
        9,
        10,
        10,
        10,
        11,
        11,
        12,
        12,
    ),
    'smallnorb_azi': tuple(range(18)),
    'smallnorb_ele': (*range(9), *range(9)),
}


def picture(mark: int) -> np.ndarray:
    """A small picture of one colour, which JPEG leaves nearly as it is."""
    return np.full((8, 8, 3), (8 * (mark % 32), 8 * (mark // 32), 0), np.uint8)


def mark_of(task: str, path: Path) -> int:
    """What `picture` was drawn for."""
    pixels = np.asarray(Image.open(path)).astype(float)
    assert pixels.shape[2] == 3
    if task.startswith('dsprites'):
        return int(pixels[..., 0].sum() / 255)
    red, green = (round(value / 8) for value in pixels[..., :2].mean((0, 1)))
    return red + (0 if task.startswith('smallnorb') else 32 * green)


def save(path: Path, mark: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(mark)).save(path)


def marks(count: int, kinds: int, start: int = 0) -> np.ndarray:
    return start + np.arange(count) % kinds


def arrays(raw: Path, n: int) -> None:
    """CIFAR-100, SVHN, PatchCamelyon, dSprites, smallNORB."""
    folder = raw / 'cifar-100-python'
    folder.mkdir(parents=True)
    for name, count in (('train', 10 * n), ('test', TEST)):
        labels = marks(count, 100)
        data = np.stack([np.resize(picture(mark)[:1, :1], (32, 32, 3)) for mark in labels])
        batch = dict(data=data.transpose(0, 3, 1, 2).reshape(count, -1), fine_labels=labels.tolist())
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / 'meta').write_bytes(pickle.dumps(dict(fine_label_names=[str(label) for label in range(100)])))
    (raw / 'svhn').mkdir()
    for name, count in (('train', 10 * n), ('test', TEST)):
        y = marks(count, 10, start=1)
        x = np.stack([picture(mark) for mark in y], axis=-1)
        savemat(raw / f'svhn/{name}_32x32.mat', dict(X=x, y=y[:, None]))
    (raw / 'pcam').mkdir()
    for name, count in (('train', 4 * n), ('valid', n), ('test', TEST)):
        y = marks(count, 2)
        for kind, values in (('x', np.stack([picture(mark) for mark in y])), ('y', y[:, None, None, None])):
            with (raw / f'pcam/camelyonpatch_level_2_split_{name}_{kind}.h5').open('wb') as file:
                np.savez(file, **{kind: values})
    latents = marks(10 * n, 32)
    images = np.zeros((len(latents), 64, 64), np.uint8)
    for image, mark in zip(images, latents):
        image.flat[:mark] = 1
    classes = np.zeros((len(latents), 6), int)
    classes[:, 3] = classes[:, 4] = latents
    np.savez_compressed(raw / 'dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz', imgs=images, latents_classes=classes)
    (raw / 'smallnorb').mkdir()
    for name, part, count in (('46789', 'training', 4 * n), ('01235', 'testing', 2 * n)):
        own = marks(count, 18)
        left = np.stack([np.full((6, 7), 8 * mark, np.uint8) for mark in own])
        info = np.stack([own * 0, own % 9, 2 * own, own * 0], axis=1).astype('<i4')
        for kind, word, values in (
            ('dat', 0x1E3D4C55, np.stack([left, 255 - left], axis=1)),
            ('info', 0x1E3D4C54, info),
        ):
            sizes = [*values.shape, *[1] * (3 - values.ndim)]
            head = np.array([word, values.ndim, *sizes], '<i4').tobytes()
            file = raw / f'smallnorb/smallnorb-5x{name}x9x18x6x2x96x96-{part}-{kind}.mat.gz'
            file.write_bytes(gzip.compress(head + values.tobytes()))


def folders(raw: Path, n: int) -> None:
    """Caltech101, DTD, Flowers102, Pets, SUN397, EuroSAT."""
    names = ['accordion', 'BACKGROUND_Google', *(f'c{label:03d}' for label in range(2, max(2, -(-n // 3))))]
    for label, name in enumerate(names):
        for number in range(31):
            save(raw / f'caltech101/101_ObjectCategories/{name}/image_{number:04d}.jpg', label)
    for split, count in (('train', 4 * n), ('val', n), ('test', TEST)):
        own = [(f'k{mark:02d}/{split}_{number:04d}.jpg', mark) for number, mark in enumerate(marks(count, 5))]
        for name, mark in own:
            save(raw / 'dtd/dtd/images' / name, mark)
        (raw / 'dtd/dtd/labels').mkdir(exist_ok=True)
        (raw / f'dtd/dtd/labels/{split}1.txt').write_text(''.join(f'{name}\n' for name, _ in own))
    counts = dict(trnid=4 * n, valid=n, tstid=TEST)
    own = marks(sum(counts.values()), 102)
    for number, mark in enumerate(own, start=1):
        save(raw / f'flowers-102/jpg/image_{number:05d}.jpg', mark)
    savemat(raw / 'flowers-102/imagelabels.mat', dict(labels=own + 1))
    ends = np.cumsum([0, *counts.values()])
    ids = {name: np.arange(begin, end) + 1 for name, begin, end in zip(counts, ends, ends[1:])}
    savemat(raw / 'flowers-102/setid.mat', ids)
    (raw / 'oxford-iiit-pet/annotations').mkdir(parents=True)
    for split, count in (('trainval', 5 * n), ('test', TEST)):
        own = [(f'{split}_{number}', mark) for number, mark in enumerate(marks(count, 37))]
        for name, mark in own:
            save(raw / f'oxford-iiit-pet/images/{name}.jpg', mark)
        text = ''.join(f'{name} {mark + 1} 1 1\n' for name, mark in own)
        (raw / f'oxford-iiit-pet/annotations/{split}.txt').write_text(text)
    scenes = ('/a/abbey', '/c/car_interior/backseat', '/z/zoo')
    for part, count in (('tr', 4 * n), ('va', n), ('te', TEST)):
        own = [(f'{scenes[mark]}/sun_{part}{number}.jpg', mark) for number, mark in enumerate(marks(count, 3))]
        for name, mark in own:
            save(raw / f'SUN397{name}', mark)
        (raw / f'SUN397/sun397_tfds_{part}.txt').write_text(''.join(f'{name}\n' for name, _ in own))
    (raw / 'SUN397/ClassName.txt').write_text('\n'.join(scenes))
    for number, mark in enumerate(marks(10 * n, 10)):
        save(raw / f'eurosat/2750/L{mark}/L{mark}_{number}.jpg', mark)


def scenes(raw: Path, n: int) -> None:
    """Clevr, KITTI, Diabetic Retinopathy."""
    for split, count in (('train', 10 * n), ('val', TEST)):
        found = []
        for number, mark in enumerate(marks(count, len(DEPTHS))):
            name = f'CLEVR_{split}_{number:06d}.png'
            save(raw / f'clevr/CLEVR_v1.0/images/{split}/{name}', mark)
            depths = [*[14.0] * (2 + mark % 8), DEPTHS[mark]]
            found.append(dict(image_filename=name, objects=[dict(pixel_coords=[1, 2, depth]) for depth in depths]))
        file = raw / f'clevr/CLEVR_v1.0/scenes/CLEVR_{split}_scenes.json'
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(dict(scenes=found)))
    count, folder = 20 * -(-n // 2), raw / 'Kitti/raw'
    for number, mark in enumerate(marks(count, len(STREETS))):
        save(folder / f'training/image_2/{number:06d}.png', mark)
        lines = [f'{kind} 0.00 0 0 1 2 3 4 1.5 1.6 3.9 0.5 1.7 {depth:.2f} 0.1\n' for kind, depth in STREETS[mark]]
        file = folder / f'training/label_2/{number:06d}.txt'
        file.parent.mkdir(exist_ok=True)
        file.write_text(''.join(lines))
    order = np.random.default_rng(3).permutation(count)
    (folder / 'mapping').mkdir()
    days = ''.join(f'2011_09_26 drive_{line % 20:04d}_sync {line:010d}\n' for line in range(count))
    (folder / 'mapping/train_mapping.txt').write_text(days)
    (folder / 'mapping/train_rand.txt').write_text(','.join(str(line + 1) for line in order))
    eyes = raw / 'diabetic_retinopathy'
    rows = dict(train=[(f'{i}_left', i % 5, '') for i in range(4 * n)])
    rows['test'] = [(f'{i}_right', i % 5, 'Public' if i < n else 'Private') for i in range(n + TEST)]
    for split, own in rows.items():
        for name, _, _ in own:
            save(eyes / f'{split}/{name}.jpeg', 20)
    (eyes / 'trainLabels.csv').write_text(
        'image,level\n' + ''.join(f'{name},{level}\n' for name, level, _ in rows['train'])
    )
    text = 'image,level,Usage\n' + ''.join(f'{name},{level},{usage}\n' for name, level, usage in rows['test'])
    (eyes / 'retinopathy_solution.csv').write_text(text)


def write_all(raw: Path, n: int) -> None:
    """Write all raw sets but those of the hub."""
    arrays(raw, n)
    folders(raw, n)
    scenes(raw, n)


def stand_in(monkeypatch, n: int) -> None:
    """Let torchvision take files of other sums, and let h5py and datasets, which are not needed otherwise, be here."""
    for name in ('CIFAR100', 'SVHN', 'Flowers102'):
        monkeypatch.setattr(getattr(tv, name), '_check_integrity', lambda self: True)
    monkeypatch.setattr(tv.CIFAR100, '_load_meta', lambda self: None)

    class File:
        """h5py's, of what numpy has written."""

        def __init__(self, path):
            self.path = path

        def __enter__(self):
            return np.load(io.BytesIO(Path(self.path).read_bytes()))

        def __exit__(self, *error):
            pass

    hub = {
        ('timm/resisc45', 'train'): (4 * n, 'image', 'label'),
        ('timm/resisc45', 'validation'): (n, 'image', 'label'),
        ('timm/resisc45', 'test'): (TEST, 'image', 'label'),
        ('clip-benchmark/wds_vtab-dmlab', 'train'): (10 * n, 'webp', 'cls'),
        ('clip-benchmark/wds_vtab-dmlab', 'test'): (TEST, 'webp', 'cls'),
    }

    def load_dataset(name, split, cache_dir):
        count, image, label = hub[name, split]
        return [{image: Image.fromarray(picture(mark)), label: int(mark), '__key__': 's'} for mark in marks(count, 6)]

    monkeypatch.setitem(sys.modules, 'h5py', SimpleNamespace(File=File))
    monkeypatch.setitem(sys.modules, 'datasets', SimpleNamespace(load_dataset=load_dataset))
