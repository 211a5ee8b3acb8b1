"""Write annotation lists of CIFAR-10 kept as class folders, with some classes left out of the pre-training.

    python tools/dataset_converters/cifar10_folders.py data/cifar10_jpeg

ROOT holds ``{train,test}/<class>/<id>.jpg``; the lists go to ``ROOT/meta/{train,test}_seen.txt`` (lines ``path label``).
The classes in UNSEEN are never shown to the small host, so that adapting it to them is an honest test.
"""

import argparse
from pathlib import Path

UNSEEN = ('cat', 'deer', 'frog')
SEEN = ('airplane', 'automobile', 'bird', 'dog', 'horse', 'ship', 'truck')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path)
    root = parser.parse_args().root
    (root / 'meta').mkdir(exist_ok=True)
    for split in ('train', 'test'):
        lines = []
        for label, name in enumerate(SEEN):
            files = sorted((root / split / name).glob('*.jpg'))
            if not files:
                raise SystemExit(f'{root / split / name}: no .jpg files found. Expected ROOT/{split}/<class>/<id>.jpg.')
            lines += [f'{name}/{file.name} {label}' for file in files]
        (root / 'meta' / f'{split}_seen.txt').write_text('\n'.join(lines) + '\n')
        print(f'{split}: {len(lines)} images of {len(SEEN)} classes; left out: {", ".join(UNSEEN)}')


if __name__ == '__main__':
    main()
