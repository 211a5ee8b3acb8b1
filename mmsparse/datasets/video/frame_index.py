"""Which frames a video file holds, and from which of them decoding may start: read from packets, without decoding."""

from __future__ import annotations

from typing import NamedTuple

from mmsparse.errors import InputError

# Where one packet is one shown frame, and its time is written down; other files are counted by decoding them once
CODECS = {'h264', 'hevc', 'vp8', 'vp9', 'av1', 'mjpeg', 'ffv1', 'mpeg4'}
CONTAINERS = {'mp4', 'matroska', 'mpegts', 'flv'}
TOLD = {'matroska', 'avi'}  # say in their head how long they are
SHORTFALL = 0.1, 0.02  # seconds, and share, by which an end may fall short of that


class KeyFrame(NamedTuple):
    """Where decoding may start: the time at which the frame is shown, and that by which containers seek."""

    pts: int
    dts: int


class FrameIndex(NamedTuple):
    """Times of all shown frames, ascending, and the key frames, ascending too; in units of the time base."""

    pts: list[int]
    keys: list[KeyFrame]


def scan(container, stream, path: str) -> FrameIndex | None:
    """Read all packets of a file, those of sound too: only the last of all shows whether the file ends too early.

    Args:
        container, stream: PyAV's, at the start.
        path: named in errors.

    Returns:
        The index; None where packets do not tell the frames, so that these must be counted by decoding.

    Raises:
        InputError: the file ends before its head says, or a packet cannot be read.
    """
    packets, end = [], 0.0
    for packet in container.demux():
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is stream and packet.size:
            packets.append(packet)
    _refuse_truncated(container, stream, path, len(packets), end)
    pts = sorted(packet.pts for packet in packets if packet.pts is not None and _is_shown(packet, stream))
    keys = sorted(
        KeyFrame(packet.pts, packet.pts if packet.dts is None else packet.dts)
        for packet in packets
        if packet.is_keyframe and packet.pts is not None
    )
    reliable = (
        stream.codec_context.codec.canonical_name in CODECS
        and not CONTAINERS.isdisjoint(container.format.name.split(','))
        and all(packet.pts is not None for packet in packets)
        and len(set(pts)) == len(pts) > 0
        and packets[0].is_keyframe
        and keys[0].pts <= pts[0]
    )
    return FrameIndex(pts, keys) if reliable else None


def _is_shown(packet, stream) -> bool:
    """What lies before an edit list's start is for the decoder alone; so are VP8's hidden frames, by a bit."""
    hidden = stream.codec_context.codec.canonical_name == 'vp8' and not bytes(packet)[0] & 0x10
    return not packet.is_discard and not hidden


def _refuse_truncated(container, stream, path: str, packets: int, end: float) -> None:
    kinds, remedy = container.format.name.split(','), 'Fetch the file again, or take it out of the list.'
    if 'mp4' in kinds and packets < stream.frames:
        raise InputError(
            f'{path}: truncated, {packets} of the {stream.frames} frames that its head promises are there. {remedy}'
        )
    told = (container.duration or 0) / 1e6
    if not TOLD.isdisjoint(kinds) and end < told - max(SHORTFALL[0], SHORTFALL[1] * told):
        raise InputError(f'{path}: truncated, it ends after {end:.1f} s of the {told:.1f} s in its head. {remedy}')
