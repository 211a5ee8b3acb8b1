"""Four short real clips that travel with the package, cut in time into labelled segments."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmsparse.datasets.array_dataset import SPLITS
from mmsparse.datasets.bad_samples import GuardedSamples
from mmsparse.datasets.video.reader import VideoReader
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS

SEGMENTS = {'train': (0.0, 0.6, 12), 'test': (0.7, 1.0, 6)}  # from, to (shares of the clip's time), how many


@DATASETS.register_module()
class TinyClips(GuardedSamples, BaseDataset):
    """Segments of four clips of OpenMMLab's demos (Apache-2.0; mmsparse/assets/tiny_clips.md), which are the classes.

    The first 60 % of each clip's time are 12 segments to train on, the last 30 % are 6 to test; between them lies a
    gap. It is a check that the path from file to score works, and no benchmark.

    Args:
        split: 'train' (48 segments) or 'test' (24).
        label_seed: shuffle the labels by this seed: a control, which has to end at chance.
        kwargs: the other arguments of mmpretrain's BaseDataset, and `max_bad`.
    """

    METAINFO = dict(classes=('arm wrestling', 'hugging', 'arm wrestling, detections drawn', 'basketball'))

    def __init__(self, split: str = 'train', label_seed: int | None = None, **kwargs):
        if split not in SPLITS:
            raise InputError(f'TinyClips: received split={split!r}, expected one of {", ".join(SPLITS)}.')
        self.split, self.label_seed = split, label_seed
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per segment: ``video_path``, ``segment`` (see `OpenVideo`) and ``gt_label``."""
        items, (first, last, count) = [], SEGMENTS[self.split]
        for label in range(len(self.METAINFO['classes'])):
            path = str(files('mmsparse') / 'assets' / f'tiny_clip_{label}.mp4')
            video = VideoReader(path)
            edges = np.rint(np.linspace(first, last, count + 1) * len(video)).astype(int).tolist()
            video.close()
            items += [dict(video_path=path, segment=part, gt_label=label) for part in zip(edges[:-1], edges[1:])]
        if self.label_seed is not None:
            labels = np.random.default_rng(self.label_seed).permutation([item['gt_label'] for item in items])
            items = [dict(item, gt_label=int(label)) for item, label in zip(items, labels)]
        return items

    def extra_repr(self) -> list[str]:
        """There is no annotation file to be named."""
        return [f'Split: \t{self.split}']
