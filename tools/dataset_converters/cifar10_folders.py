"""Split CIFAR-10, kept as class folders, into the classes of the small host's pre-training and three that it never
sees.

    python tools/dataset_converters/cifar10_folders.py data/cifar10_jpeg

ROOT holds ``{train,test}/<class>/<id>.jpg``. Written are the lists of the pre-training,
``ROOT/meta/{train,test}_seen.txt`` (lines ``path label``), and ``ROOT/unseen_photos.tar.xz``: the first 100 training
and 400 test photographs of each class in UNSEEN, which the project ships as ``mmsparse/assets/unseen_photos.tar.xz``.
The same files give the same archive.
"""

import argparse
import tarfile
from pathlib import Path

UNSEEN = ('cat', 'deer', 'frog')
SEEN = ('airplane', 'automobile', 'bird', 'dog', 'horse', 'ship', 'truck')
PACKED = dict(train=100, test=400)


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


def pack_unseen(root: Path) -> None:
    target = root / 'unseen_photos.tar.xz'
    with tarfile.open(target, 'w:xz') as archive:
        for split, count in PACKED.items():
            for file in (file for name in UNSEEN for file in photographs(root, split, name)[:count]):
                entry = tarfile.TarInfo(file.relative_to(root).as_posix())
                entry.size = file.stat().st_size
                with file.open('rb') as content:
                    archive.addfile(entry, content)
    print(f'{target}: {target.stat().st_size:,} bytes')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path)
    root = parser.parse_args().root
    write_lists(root)
    pack_unseen(root)


if __name__ == '__main__':
    main()
