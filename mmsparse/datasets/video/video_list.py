"""Videos that a list names."""

from __future__ import annotations

import os
from pathlib import Path

from mmpretrain.datasets import BaseDataset

from mmsparse.datasets.bad_samples import GuardedSamples
from mmsparse.datasets.video.list_files import read_list
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS


@DATASETS.register_module()
class VideoList(GuardedSamples, BaseDataset):
    """Videos and their classes by a list: `path label`, the CSV of Kinetics or the JSON of Something-Something.

    An item enters the pipeline with ``video_path`` and ``gt_label``; videos are opened there, in the workers. A file
    that is missing or broken is a bad sample (`GuardedSamples`); where more are missing than may be bad, the list is
    refused at once.

    Args:
        ann_file: the list, below `data_root` (`read_list` says what it may hold).
        data_prefix: folder of the videos, below `data_root`. Those of Kinetics may lie in folders of their classes.
        labels: ``labels.json`` of Something-Something, below `data_root`.
        kwargs: the other arguments of mmpretrain's BaseDataset (classes, pipeline, test_mode, …), and `max_bad`.

    Raises:
        InputError: the list is wrong, or too many of its videos are not there.
    """

    def __init__(self, ann_file: str, data_prefix: str = '', labels: str | None = None, **kwargs):
        self.labels = labels
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per video; MMEngine calls it on first use."""
        labels = self.labels and os.path.join(self.data_root, self.labels)
        rows, names = read_list(self.ann_file, labels, self._metainfo.get('classes'))
        if names:
            self._metainfo['classes'] = tuple(names)
        classes, folders = self._metainfo.get('classes'), {}
        paths = [self._place(name, classes and classes[label], folders) for name, label in rows]
        missing = [path for path, there in paths if not there]
        if len(missing) > max(1, int(self.max_bad * len(rows))):
            raise InputError(
                f'{self.ann_file}: {len(missing):,} of its {len(rows):,} videos are not there, the first one at '
                f'{missing[0]}. Set data_root and data_prefix to where they lie; or, where some are known to be lost, '
                'max_bad of the dataset to their share.'
            )
        return [dict(video_path=path, gt_label=label) for (path, _), (_, label) in zip(paths, rows)]

    def _place(self, name: str, label: str | None, folders: dict[str, set[str]]) -> tuple[str, bool]:
        """Return where a video lies, or would, and whether it is there; each folder is listed once."""
        plain = os.path.join(self.img_prefix, name)
        options = [plain]
        if label:
            options += [os.path.join(self.img_prefix, each, name) for each in (label, label.replace(' ', '_'))]
        for path in options:
            folder, file = os.path.split(path)
            if folder not in folders:
                folders[folder] = set(os.listdir(folder or '.')) if Path(folder or '.').is_dir() else set()
            if file in folders[folder]:
                return path, True
        return plain, False
