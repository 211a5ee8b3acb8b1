"""How many images a config's training pipeline prepares in a second, on generated pictures: does loading keep up?"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmsparse.analysis.stand_ins import picture
from mmsparse.errors import InputError

SIDES = (32, 500)  # CIFAR-100's and SVHN's pictures; the longer side of Food-101's is at most 512
LOADS = ('LoadImageFromFile', 'mmsparse.LoadImage')


class Loading(NamedTuple):
    """What one worker prepares.

    Attributes:
        side: of the pictures before the pipeline, in pixels.
        source: 'array', or 'JPEG' where the pipeline reads files.
        per_worker: images per second of one process.
        workers: of the config's training loader; 0 is the training process itself.
    """

    side: int
    source: str
    per_worker: float
    workers: int


def measure_loading(cfg: Config, seconds: float = 2.0) -> list[Loading]:
    """Run a config's training pipeline in this process, on square pictures of each of `SIDES`.

    Args:
        cfg: with `train_dataloader`.
        seconds: spent on each size, after one picture that is not counted.

    Raises:
        InputError: the config trains on nothing, or its pipeline takes no single image and label.
    """
    loader = cfg.get('train_dataloader') or {}
    pipeline = (loader.get('dataset') or {}).get('pipeline')
    if not pipeline:
        raise InputError(
            f'--loading: {cfg.filename} has no train_dataloader.dataset.pipeline. Name a config that has.'
        )
    reads = pipeline[0]['type'] in LOADS
    found = []
    with tempfile.TemporaryDirectory() as folder, DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        steps = Compose(pipeline)
        for side in SIDES:
            pixels = picture(0, Path(folder) / f'{side}.jpg', (side, side))
            source = dict(img_path=str(Path(folder) / f'{side}.jpg'), gt_label=0)
            if not reads:
                source = dict(img=pixels, gt_label=0, img_shape=(side, side), ori_shape=(side, side))
            rate = _rate(steps, source, seconds)
            found.append(Loading(side, 'JPEG' if reads else 'array', rate, loader.get('num_workers', 0)))
    return found


def _rate(steps: Compose, source: dict, seconds: float) -> float:
    steps(dict(source))
    start, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        steps(dict(source))
        count += 1
    return count / passed
