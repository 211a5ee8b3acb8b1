"""Digits that move: their direction cannot be told from one frame, nor from all frames without their order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmsparse.datasets.array_dataset import SPLITS
from mmsparse.datasets.digits import Digits
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS
from mmsparse.utils.value_checks import check_choices

STEPS = {'left': (0, -1), 'right': (0, 1), 'up': (-1, 0), 'down': (1, 0)}
FRAMES, SIDE, SPEED = 8, 16, 2  # pixels, and pixels per frame; one more frame would be the first again
PAIRS = {'train': 200, 'test': 200}


@DATASETS.register_module()
class MovingDigits(BaseDataset):
    """Clips of one digit of scikit-learn, 8 px, on a field of 16 × 16 px whose opposite sides are joined.

    The label is the direction. Places are uniform, so that one frame says nothing; every clip is there a second time
    backwards, under the opposite direction, so that the set of frames says nothing between left and right or up and
    down either: a model to which the order of frames is lost answers both alike, and is right in half of the cases.
    The digits are those of `Digits`: the training clips show other ones than the test clips.

    Args:
        split: 'train' or 'test', 400 clips each.
        directions: the classes, some of left, right, up, down; opposite ones belong together.
        kwargs: the other arguments of mmpretrain's BaseDataset.
    """

    def __init__(self, split: str = 'train', directions: Sequence[str] = ('left', 'right'), **kwargs):
        if split not in SPLITS:
            raise InputError(f'MovingDigits: received split={split!r}, expected one of {", ".join(SPLITS)}.')
        check_choices('MovingDigits: received directions', directions, tuple(STEPS), ('left', 'right'))
        lonely = [name for name in directions if _opposite(name) not in directions]
        if lonely:
            raise InputError(
                f'MovingDigits: received directions={tuple(directions)}, without {_opposite(lonely[0])!r}, the '
                f'opposite of {lonely[0]!r}. Name both.'
            )
        self.split, self.directions = split, tuple(directions)
        super().__init__(ann_file='', metainfo=dict(classes=self.directions), **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict per clip, with ``frames_thwc`` (8×16×16×3, uint8, RGB) and ``gt_label``."""
        draw = np.random.default_rng(SPLITS.index(self.split))
        images, items = Digits(self.split).load_arrays()[0], []
        ways = [name for name in self.directions if sum(STEPS[name]) > 0]
        for number in range(PAIRS[self.split]):
            way = ways[number % len(ways)]
            field = np.zeros((SIDE, SIDE, 3), np.uint8)
            field[: images.shape[1], : images.shape[2]] = images[draw.integers(len(images))]
            start = draw.integers(SIDE, size=2)
            frames = [
                np.roll(field, start + SPEED * time * np.array(STEPS[way]), axis=(0, 1)) for time in range(FRAMES)
            ]
            for name, clip in ((way, frames), (_opposite(way), frames[::-1])):
                items.append(dict(frames_thwc=np.stack(clip), gt_label=self.directions.index(name)))
        return items

    def extra_repr(self) -> list[str]:
        """There is no annotation file to be named."""
        return [f'Split: \t{self.split}', f'Directions: \t{", ".join(self.directions)}']


def _opposite(name: str) -> str:
    backwards = tuple(-step for step in STEPS[name])
    return next(other for other, step in STEPS.items() if step == backwards)
