"""Split CIFAR-10, kept as class folders, into the classes of the small host's pre-training and three that it never
sees.

    python tools/dataset_converters/cifar10_folders.py data/cifar10_jpeg

ROOT holds ``{train,test}/<class>/<id>.jpg``. Written are the lists of the pre-training,
``ROOT/meta/{train,test}_seen.txt`` (lines ``path label``), and two archives that the project ships in
``mmsparse/assets``: ``ROOT/unseen_photos.tar.xz`` has the first 100 training and 400 test photographs of each class in
UNSEEN; ``ROOT/small_vtab.tar.xz`` has the next 200 test photographs of each class, which no pre-training has seen, 100
of them to train small VTAB and 100 to test it. The same files give the same archives.
"""

import argparse
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

UNSEEN = ('cat', 'deer', 'frog')
SEEN = ('airplane', 'automobile', 'bird', 'dog', 'horse', 'ship', 'truck')
PACKED = dict(train=100, test=400)
SMALL_VTAB = dict(train=slice(400, 500), test=slice(500, 600))  # of CIFAR-10's test photographs, behind PACKED


def photographs(root: Path, split: str, name: str) -> list[Path]:
    files = sorted((root / split / name).glob('*.jpg'))
    if not files:
        raise SystemExit(f'{root / split / name}: no .jpg files found. Expected ROOT/{split}/<class>/<id>.jpg.')
    return files


def write_lists(root: Path) -> None:
    (root / 'meta').mkdir(exist_ok=True)
    for split in PACKED:
        lines = [
            f'{name}/{file.name} {label}' for label, name in enumerate(SEEN) for file in photographs(root, split, name)
        ]
        (root / 'meta' / f'{split}_seen.txt').write_text('\n'.join(lines) + '\n')
        print(f'{split}: {len(lines)} images of {len(SEEN)} classes; left out: {", ".join(UNSEEN)}')


def pack(target: Path, files: Iterable[tuple[str, Path]]) -> None:
    """Put files into an archive, each under its split and class."""
    with tarfile.open(target, 'w:xz') as archive:
        for split, file in files:
            entry = tarfile.TarInfo(f'{split}/{file.parent.name}/{file.name}')
            entry.size = file.stat().st_size
            with file.open('rb') as content:
                archive.addfile(entry, content)
    print(f'{target}: {target.stat().st_size:,} bytes')


def unseen(root: Path) -> Iterator[tuple[str, Path]]:
    for split, count in PACKED.items():
        for name in UNSEEN:
            yield from ((split, file) for file in photographs(root, split, name)[:count])


def small_vtab(root: Path) -> Iterator[tuple[str, Path]]:
    for split, some in SMALL_VTAB.items():
        for name in sorted(SEEN + UNSEEN):
            yield from ((split, file) for file in photographs(root, 'test', name)[some])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path)
    root = parser.parse_args().root
    write_lists(root)
    pack(root / 'unseen_photos.tar.xz', unseen(root))
    pack(root / 'small_vtab.tar.xz', small_vtab(root))


if __name__ == '__main__':
    main()
