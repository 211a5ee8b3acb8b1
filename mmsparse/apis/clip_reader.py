"""Read a video, or a part of it, in the way that the videos of a state's test data are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS, DefaultScope

from mmsparse.apis.picture_reader import packed
from mmsparse.datasets.video.reader import VideoReader
from mmsparse.datasets.video.sample_frames import OpenVideo
from mmsparse.errors import InputError, in_words


@dataclass(frozen=True)
class Span:
    """A part of a video.

    Args:
        path: the file.
        segment: its first frame, and the one behind its last.
        seconds: when it begins and ends.
    """

    path: Path
    segment: tuple[int, int]
    seconds: tuple[float, float]

    stem = property(lambda self: f'{self.path.stem}_{self.segment[0]}')

    def __str__(self) -> str:
        return f'{self.path} {self.seconds[0]:.1f}–{self.seconds[1]:.1f} s'


class ClipReader:
    """The test pipeline of a card whose data are clips, for files, parts of them and arrays.

    Args:
        pipeline: configs of its transforms, from `mmsparse.state.pipeline.pipeline_config`.
        scope: the card's default scope.
        file: the card's, named in errors.

    Raises:
        InputError: wrong arguments of a transform.
    """

    load = OpenVideo()

    def __init__(self, pipeline: list[dict], scope: str, file: str):
        with (
            in_words(f'{file}: the test pipeline on this card cannot be built'),
            DefaultScope.overwrite_default_scope(scope),
        ):
            self.steps = Compose([TRANSFORMS.build(step) for step in pipeline])

    def __call__(self, source: str | Path | Span | np.ndarray) -> dict:
        """Return `inputs` (views × frames × 3 × H × W, uint8, RGB) and `data_samples`, as the test data set does.

        Args:
            source: a file, a part of one, or frames T×H×W×3, uint8, RGB.

        Raises:
            InputError: it cannot be read or prepared; the text names it.
        """
        if isinstance(source, np.ndarray):
            if source.dtype != np.uint8 or source.ndim != 4 or source.shape[-1] != 3 or not len(source):
                raise InputError(
                    f'received an array of {source.dtype} and shape {source.shape}, expected frames T×H×W×3 (RGB) of '
                    'uint8.'
                )
            item, name = dict(frames_thwc=source), 'the given frames'
        elif isinstance(source, Span):
            item, name = dict(video_path=str(source.path), segment=source.segment), str(source.path)
        elif isinstance(source, str | Path):
            item, name = dict(video_path=str(source)), str(source)
        else:
            raise InputError(
                f'received {type(source).__name__}, expected a path, or frames T×H×W×3 (RGB) of uint8 in an array.'
            )
        with in_words(f'{name}: the test pipeline fails on it'):
            return packed(self.steps(item))


def spans(path: str | Path, window: float | None = None) -> list[Span | Path]:
    """Cut a video into parts of equal time; one that cannot be read stays whole, for the reader to say why.

    Args:
        path: the file.
        window: seconds of a part at most; None for all in one.

    Raises:
        InputError: a window that is not above 0.
    """
    if window is not None and not window > 0:
        raise InputError(f'{path}: received a window of {window} seconds, expected a number above 0, such as 2.')
    try:
        video = VideoReader(path)
    except InputError:
        return [Path(path)]
    video.close()
    # each frame is shown until the next one, the last as long as one is on average
    end = video.times[-1] + (video.times[-1] / (len(video) - 1) if len(video) > 1 else 0)
    count = 1 if window is None else max(1, math.ceil(end / window - 1e-6))
    edges = np.searchsorted(video.times, np.linspace(0, end, count + 1) - 1e-6).tolist()
    times = [*video.times, end]
    return [
        Span(Path(path), (first, behind), (times[first], times[behind]))
        for first, behind in zip(edges[:-1], edges[1:])
        if first < behind
    ]
