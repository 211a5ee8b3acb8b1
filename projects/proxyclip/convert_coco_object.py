"""Make COCO-Object's label maps from those of COCO-Stuff 164k.

    python projects/proxyclip/convert_coco_object.py data/coco_stuff164k

Reads annotations/{train2017,val2017}/NAME.png as the archive stuffthingmaps_trainval2017 has them, and writes
NAME_instanceTrainIds.png beside each: the 80 objects become 1 to 80 in their order; stuff and void become 0, the
background.
"""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmsparse.cli.reporting import reporting
from mmsparse.errors import InputError

SUFFIX = '_instanceTrainIds.png'
NEVER_USED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82}  # COCO numbered 90 objects and released 80
OBJECTS = [number for number in range(90) if number not in NEVER_USED]
LARGEST, VOID = 181, 255
TABLE = np.zeros(256, np.uint8)
TABLE[OBJECTS] = np.arange(1, len(OBJECTS) + 1)


def convert(labels: np.ndarray) -> np.ndarray:
    """Map the archive's numbers (COCO's category minus one; 255: void) to 0 … 80."""
    return TABLE[labels]


def convert_file(source: Path, force: bool) -> None:
    target = source.with_name(source.stem + SUFFIX)
    if target.exists() and not force:
        return
    with Image.open(source) as image:
        labels = np.asarray(image)
    wrong = (
        sorted({*np.unique(labels).tolist()} & {*NEVER_USED, 90, *range(LARGEST + 1, VOID)})
        if labels.ndim == 2
        else ['colours']
    )
    if wrong:
        raise InputError(
            f'{source}: holds {", ".join(map(str, wrong[:5]))}, expected the numbers of COCO-Stuff 164k, 0 to '
            f'{LARGEST} and {VOID}.'
        )
    unfinished = target.with_suffix('.tmp')
    Image.fromarray(convert(labels)).save(unfinished, format='PNG')
    os.replace(unfinished, target)


def sources(root: Path) -> list[Path]:
    """The archive's maps below a root; not what converters have written beside them."""
    folders = [root / 'annotations' / split for split in ('train2017', 'val2017')]
    found = [
        path for folder in folders if folder.is_dir() for path in sorted(folder.glob('*.png')) if path.stem.isdigit()
    ]
    if not found:
        raise InputError(
            f'{root}: no label maps in {" or ".join(map(str, folders))}. Unpack stuffthingmaps_trainval2017 there, as '
            'for COCO-Stuff 164k in mmseg.'
        )
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument('root', type=Path, help='folder of COCO-Stuff 164k')
    options.add_argument('--processes', type=int, default=os.cpu_count(), help='at once (default: one per core)')
    options.add_argument('--force', action='store_true', help='write maps anew that are there')
    args = options.parse_args()
    with reporting(lambda: 'Maps that are written are whole; the same command goes on.'):
        found = sources(args.root)
        with ProcessPoolExecutor(args.processes) as pool:
            done = pool.map(partial(convert_file, force=args.force), found, chunksize=16)
            for _ in track(done, 'converting', total=len(found), transient=True):
                pass
        print(f'{len(found)} maps in {args.root / "annotations"} end in {SUFFIX}.')


if __name__ == '__main__':
    main()
