"""From a video to clips of frames: which are taken, and reading them."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmsparse.datasets.video.reader import FrameArray, VideoReader
from mmsparse.registry import TRANSFORMS
from mmsparse.utils.value_checks import check_count, check_flag


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open ``video_path``, or take frames in memory (``frames_thwc``, uint8, RGB), as ``video``; add ``num_frames``.

    ``segment``, where a data set gives it, says which part of the video is the sample: first frame, and the one behind
    the last.

    Raises:
        InputError: as `VideoReader`.
    """

    def transform(self, results: dict) -> dict:
        """Add ``video``, ``segment``, ``num_frames`` and ``fps``."""
        frames_thwc = results.pop('frames_thwc', None)
        video = VideoReader(results['video_path']) if frames_thwc is None else FrameArray(frames_thwc)
        first, behind = results.get('segment') or (0, len(video))
        behind = min(behind, len(video))
        first = min(first, behind - 1)
        return dict(results, video=video, segment=(first, behind), num_frames=behind - first, fps=video.fps)


class _Sampler(BaseTransform):
    """Add ``frame_numbers``, views × frames, into the video of `OpenVideo`."""

    def numbers(self, count: int) -> np.ndarray:
        """Return numbers below `count`, views × frames."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        """Draw or place the frames inside the segment."""
        return dict(results, frame_numbers=results['segment'][0] + self.numbers(results['num_frames']))


@TRANSFORMS.register_module()
class SampleDense(_Sampler):
    """Every `stride`-th frame from a random start, or from `clips` starts that are spread evenly (one: the middle).

    Where a video is shorter than the clip its last frame is repeated. This is how Kinetics-400 is read.

    Args:
        frames: per clip.
        stride: from one frame to the next.
        clips: temporal views.
        random: draw the starts, as in training.
    """

    def __init__(self, frames: int = 8, stride: int = 16, clips: int = 1, random: bool = False):
        for name, value, usual in (('frames', frames, 8), ('stride', stride, 16), ('clips', clips, 3)):
            check_count(f'SampleDense: received {name}', value, usual)
        check_flag('SampleDense: received random', random)
        self.frames, self.stride, self.clips, self.random = frames, stride, clips, random

    def numbers(self, count: int) -> np.ndarray:
        """Return numbers below `count`, clips × frames."""
        slack = max(count - (self.frames - 1) * self.stride - 1, 0)
        if self.random:
            starts = np.random.randint(slack + 1, size=self.clips)
        elif self.clips == 1:
            starts = np.array([slack // 2])
        else:
            starts = np.rint(np.linspace(0, slack, self.clips)).astype(int)
        return np.minimum(starts[:, None] + self.stride * np.arange(self.frames), count - 1)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(frames={self.frames}, stride={self.stride}, clips={self.clips}, '
            f'random={self.random})'
        )


@TRANSFORMS.register_module()
class SampleSegments(_Sampler):
    """One frame of each of `frames` equal parts of the video: a random one, or the middle (TSN, arXiv 1608.00859).

    This is how Something-Something V2 is read. A video with fewer frames than parts gives some of them twice.

    Args:
        frames: number of parts.
        random: draw the frame, as in training.
    """

    def __init__(self, frames: int = 8, random: bool = False):
        check_count('SampleSegments: received frames', frames, 8)
        check_flag('SampleSegments: received random', random)
        self.frames, self.random = frames, random

    def numbers(self, count: int) -> np.ndarray:
        """Return numbers below `count`, 1 × frames."""
        edges = np.arange(self.frames + 1) * count // self.frames
        first, last = edges[:-1], np.maximum(edges[1:] - 1, edges[:-1])
        return (np.random.randint(first, last + 1) if self.random else (first + last) // 2)[None]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(frames={self.frames}, random={self.random})'


@TRANSFORMS.register_module()
class DecodeFrames(BaseTransform):
    """Read the sampled frames into ``img``, (views·frames)×3×H×W, uint8, RGB, and close the video.

    mmpretrain's ``torchvision/…`` transforms work on such a tensor with the same random values for all frames.

    Raises:
        InputError: as `VideoReader`.
    """

    def transform(self, results: dict) -> dict:
        """Add ``img``, ``views`` and ``ori_shape`` (height, width)."""
        video, numbers = results.pop('video'), results['frame_numbers']
        try:
            frames_nhwc = video[numbers.ravel()]
        finally:
            video.close()
        img = torch.from_numpy(np.ascontiguousarray(frames_nhwc)).permute(0, 3, 1, 2)
        return dict(results, img=img, views=len(numbers), ori_shape=frames_nhwc.shape[1:3])
