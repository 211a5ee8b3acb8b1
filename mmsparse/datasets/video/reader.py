"""Frames of a video file by their number."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmsparse.datasets.video.frame_index import FrameIndex, KeyFrame, scan
from mmsparse.errors import InputError, in_words
from mmsparse.utils.dependencies import not_installed


class VideoReader:
    """The frames of a file in the order in which they are shown; upright, as its display matrix says.

    Where the packets tell the frames (`FrameIndex`), each frame costs what lies between it and the last key frame
    shown before it: leading pictures of an open group come out whole, since they need the group before theirs. Frames
    are those of decoding the file from its start, bit by bit. PyAV decodes, whose wheels bring FFmpeg along;
    torchcodec does where it is installed, finds an FFmpeg of the system, and counts the same frames.

    Args:
        path: a local file.

    Attributes:
        fps: average frames per second, or 0 where the file does not say.

    Raises:
        InputError: no such file, no video in it, a codec without decoder, no frame, or an end that comes too early;
            while reading, frames that cannot be decoded or change their size.
    """

    def __init__(self, path: str | Path):
        self.path = str(path)
        if not Path(path).is_file():  # a pipe would be waited for
            raise InputError(
                f'{path}: {"no regular file" if Path(path).exists() else "no such video"}. Put it there, or take it '
                'out of the list.'
            )
        with in_words(f'{path}: cannot be read as a video', 'Replace the file, or take it out of the list.'):
            self._open()
            self.index: FrameIndex | None = scan(self.container, self.stream, self.path)
            self.times = self._times()
        if not self.times:
            raise InputError(f'{path}: its video stream holds no frame. Replace the file, or take it out of the list.')
        self.fps = float(self.stream.average_rate or 0)

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, numbers: Sequence[int]) -> np.ndarray:
        """Return frames, N×H×W×3, uint8, RGB, for N numbers in [0, len), in any order and repeated or not."""
        wanted = sorted(set(map(int, numbers)))
        if not wanted or wanted[0] < 0 or wanted[-1] >= len(self):
            raise InputError(f'{self.path}: received frames {list(numbers)}, expected some of 0 to {len(self) - 1}.')
        with in_words(
            f'{self.path}: frames {wanted[0]} to {wanted[-1]} cannot be decoded', 'Replace the file, or leave it out.'
        ):
            frames = self._by_torchcodec(wanted) or (self._seek if self.index else self._from_start)(wanted)
            sizes = {frame.shape for frame in frames.values()}
            if len(sizes) > 1:
                raise ValueError(f'they change their size: {", ".join(map(str, sorted(sizes)))}')
            return np.stack([frames[int(number)] for number in numbers])

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _open(self) -> None:
        try:
            import av
        except ImportError as error:
            raise InputError(not_installed('av')) from error
        _say_choice()
        try:
            self.container = av.open(self.path, metadata_errors='ignore')
        except av.error.FFmpegError as error:
            reason = error.strerror if Path(self.path).stat().st_size else 'the file is empty'
            raise InputError(
                f'{self.path}: FFmpeg finds no video in it ({reason}). It is truncated, or of another kind: replace '
                'it, or take it out of the list.'
            ) from error
        pictures = [
            each for each in self.container.streams.video if not each.disposition & each.disposition.attached_pic
        ]
        if not pictures:
            others = ', '.join(sorted({each.type for each in self.container.streams})) or 'nothing'
            raise InputError(
                f'{self.path}: holds no video stream, only {others}. Replace the file, or take it out of the list.'
            )
        self.stream = max(pictures, key=lambda each: each is self.container.streams.best('video'))
        if self.stream.codec_context is None:
            raise InputError(
                f'{self.path}: this FFmpeg has no decoder for its video. Convert it, to H.264 for instance, or take '
                'it out of the list.'
            )
        self.stream.codec_context.thread_count = 1  # workers are what runs in parallel

    def _times(self) -> list[float]:
        """Seconds at which frames are shown, from the first one on; counted where there is no index."""
        if self.index:
            return [float((pts - self.index.pts[0]) * self.stream.time_base) for pts in self.index.pts]
        return [frame.time or 0.0 for frame in self._frames_from_start()]

    def _frames_from_start(self) -> Iterator:
        self.close()
        self._open()
        yield from self.container.decode(self.stream)

    def _from_start(self, wanted: list[int]) -> dict[int, np.ndarray]:
        found = {}
        for number, frame in enumerate(self._frames_from_start()):
            if number in wanted:
                found[number] = _upright(frame)
            if number == wanted[-1]:
                break
        return found

    def _seek(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """Decode from the last key frame shown before each wanted one; from an earlier one where that does not do."""
        number_of = {self.index.pts[number]: number for number in wanted}
        starts, found = [key.pts for key in self.index.keys], {}
        for start, group in groupby(number_of, lambda pts: bisect_right(starts, pts) - 1):
            group = list(group)
            for key in self.index.keys[start::-1]:
                found |= self._decode(group, key)
                if all(pts in found for pts in group):
                    break
            else:
                return self._from_start(wanted)
        return {number_of[pts]: image for pts, image in found.items()}

    def _decode(self, group: list[int], key: KeyFrame) -> dict[int, np.ndarray]:
        """Return those of some frames, by their times, that come when decoding begins at a key frame."""
        found, codec = {}, self.stream.codec_context
        self.container.seek(key.dts, stream=self.stream)
        for packet in self.container.demux(self.stream):
            if codec.name == 'h264':  # no picture refers to these
                codec.skip_frame = 'DEFAULT' if packet.pts in group else 'NONREF'
            passed = False
            for frame in packet.decode():
                if frame.pts in group and frame.pts >= key.pts:
                    found[frame.pts] = _upright(frame)
                passed = frame.pts is not None and frame.pts >= group[-1]
            if passed or len(found) == len(group):
                break
        codec.skip_frame = 'DEFAULT'
        return found

    def _by_torchcodec(self, wanted: list[int]) -> dict[int, np.ndarray]:
        """Return the frames by torchcodec, or nothing where it is not there or counts other frames."""
        if not (decoder := _torchcodec()):
            return {}
        video = decoder(self.path, dimension_order='NHWC', num_ffmpeg_threads=1)
        if len(video) != len(self):
            return {}
        return dict(zip(wanted, video.get_frames_at(indices=wanted).data.numpy()))


class FrameArray:
    """Frames in memory behind the same calls: T×H×W×3, uint8, RGB."""

    path, fps = None, 0.0

    def __init__(self, frames_thwc: np.ndarray):
        self.frames_thwc = frames_thwc

    def __len__(self) -> int:
        return len(self.frames_thwc)

    def __getitem__(self, numbers: Sequence[int]) -> np.ndarray:
        return self.frames_thwc[np.asarray(numbers)]

    def close(self) -> None:
        """There is no file."""


def _upright(frame) -> np.ndarray:
    """Return a frame as H×W×3, uint8, RGB, turned and mirrored by its display matrix."""
    image_hwc = frame.to_ndarray(format='rgb24')
    matrix = next((data for data in frame.side_data if data.type.name == 'DISPLAYMATRIX'), None)
    if matrix is None:
        return image_hwc
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32)  # x' = ax + cy, y' = bx + dy
    if abs(b) > abs(a):
        image_hwc, a, d = image_hwc.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image_hwc[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


@cache
def _torchcodec():
    """Return torchcodec's decoder, or None: it needs an FFmpeg of the system."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError):  # not installed, or no library to load
        return None
    return VideoDecoder


@cache
def _say_choice() -> None:
    import av

    choice = 'torchcodec' if _torchcodec() else f'PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}'
    print_log(f'Videos are decoded by {choice}.', logger='current')
