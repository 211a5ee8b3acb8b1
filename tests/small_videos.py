"""Writes small clips of every kind that a video file comes in, with PyAV's encoders."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 25


def picture(number: int, height: int, width: int) -> np.ndarray:
    """A smooth picture that differs from frame to frame: a ramp and a square that moves."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([(x * 5 + number * 3) % 256, (y * 5 + number * 7) % 256, (x + y + number * 11) % 256], -1)
    at = number * 2 % (width - 8)
    image[4:12, at : at + 8] = 255
    return image.astype(np.uint8)


def write_video(path: Path, frames=40, size=(48, 64), codec='libx264', times=None, **options) -> Path:
    """Encode frames; `times` are their presentation times in units of 1/25 s."""
    height, width = size
    with av.open(str(path), 'w') as container:
        options = {key.replace('_', '-'): str(value) for key, value in options.items()}
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = 'yuv420p'
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number, height, width), 'rgb24')
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A second of silence, and no picture."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=8000, layout='mono')
        for start in range(0, 8000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
            frame.rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoded(path: Path) -> np.ndarray:
    """All frames of a file as PyAV decodes them from its start, N×H×W×3."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)])
