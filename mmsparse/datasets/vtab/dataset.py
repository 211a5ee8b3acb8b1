"""VTAB-1K in the layout that everybody exchanges: a folder of pictures and four lists for each task."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from mmpretrain.datasets import CustomDataset

from mmsparse.datasets.vtab.tasks import SPLITS, TASKS
from mmsparse.errors import refuse
from mmsparse.registry import DATASETS
from mmsparse.utils.value_checks import check_word

MAKE = 'python tools/dataset_converters/vtab1k.py'
MARKS = (b'\xef\xbb\xbf', b'\xff\xfe', b'\xfe\xff')  # byte-order marks of UTF-8 and UTF-16


@DATASETS.register_module()
class VTAB(CustomDataset):
    """One task of VTAB-1K (Zhai et al., 2019, arXiv 1910.04867), 1,000 pictures to train.

    Expects ``<data_root>/<task>/<split>.txt`` with lines ``path label``, paths below ``<data_root>/<task>``. Classes
    are called by task and number unless ``metainfo`` names them.

    Args:
        task: folder of the task, see `mmsparse.datasets.vtab.tasks.TASKS`.
        split: 'train800val200' (all 1,000), 'train800' and 'val200' (for a search of settings), or 'test'.
        data_root: folder of all tasks.
        metainfo, kwargs: the other arguments of mmpretrain's CustomDataset (pipeline, test_mode, indices, …).

    Raises:
        InputError: an unknown task or split; a list that is missing, empty, no plain text, or has labels outside the
            classes; a listed picture that is not there.
    """

    def __init__(
        self,
        task: str,
        split: str = 'train800val200',
        data_root: str = 'data/vtab-1k',
        metainfo: dict | None = None,
        **kwargs,
    ):
        check_word('VTAB: received task', task, tuple(TASKS))
        check_word('VTAB: received split', split, SPLITS)
        self.task, self.split = task, split
        # with the task in each, so that a state of one task is not tested on another with as many classes
        names = dict(classes=tuple(f'{task} {label}' for label in range(TASKS[task].classes)))
        folder = str(Path(data_root) / task)
        super().__init__(ann_file=f'{split}.txt', data_root=folder, metainfo=names | (metainfo or {}), **kwargs)

    @property
    def result_name(self) -> str:
        """What result files call it; a search of settings on val200 is no result of the benchmark."""
        return f'vtab/{self.task}' + (f' ({self.split})' if self.split != 'test' else '')

    def load_data_list(self) -> list[dict]:
        """One dict per picture; MMEngine calls it on first use."""
        file = Path(self.ann_file)
        refuse(f'VTAB: {file}{fault}' for fault in _list_faults(file, TASKS[self.task].classes))
        found = super().load_data_list()
        refuse(f'VTAB: {file}{fault}' for fault in _picture_faults(found))
        expected = {'train800val200': 1000, 'train800': 800, 'val200': 200, 'test': TASKS[self.task].test}[self.split]
        if len(found) != expected:
            warnings.warn(
                f'VTAB: {file} lists {len(found):,} pictures, VTAB-1K has {expected:,} there: its figures are not '
                'those of the benchmark.',
                stacklevel=2,
            )
        return found


def _list_faults(file: Path, classes: int) -> Iterator[str]:
    """Say what is wrong with a list of pictures and labels."""
    if not file.is_file():
        there = ', '.join(sorted(path.name for path in file.parent.glob('*.txt'))) or 'none'
        yield (
            f': no such list (lists in this folder: {there}). Set data_root to the folder that holds the folders of '
            f'the tasks, or make it: {MAKE} {file.parent.parent} --tasks {file.parent.name}.'
        )
        return
    content = file.read_bytes()
    if content.startswith(MARKS):
        yield ' begins with a byte-order mark, expected plain UTF-8 text. Save it without one.'
    if b'\r' in content:
        yield f" has Windows line ends, expected '\\n' alone. Mend it: sed -i 's/\\r$//' {file}"
    lines = content.decode(errors='surrogateescape').splitlines()
    if not lines:
        yield ' is empty, expected lines of a path and a label.'
    for number, line in enumerate(lines, start=1):
        path, _, label = line.rpartition(' ')
        if not path or not label.isdecimal():
            yield (
                f', line {number}: received {line[:80]!r}, expected a path, a space and a label, such as '
                "'images/test/000000.png 3'."
            )
        elif int(label) >= classes:
            yield (
                f', line {number}: received the label {label}, expected 0 to {classes - 1} for the {classes} classes '
                'of this task. Correct the list, or make it anew.'
            )


def _picture_faults(found: list[dict]) -> Iterator[str]:
    """Say which listed pictures are not there; folders are read once, not asked for every picture."""
    folders = {}
    lacking = []
    for path in (item['img_path'] for item in found):
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        lacking += [] if name in folders[folder] else [path]
    if lacking:
        yield (
            f': {len(lacking):,} of {len(found):,} pictures in this list are not there, such as {lacking[0]}. Unpack '
            f'or make them again: {MAKE} goes on where it stopped.'
        )
