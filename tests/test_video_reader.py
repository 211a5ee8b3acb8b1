"""Frames by their number are those of decoding a file from its start, and a bad file is refused in one sentence."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmsparse.datasets.video import reader
from mmsparse.datasets.video.reader import VideoReader
from mmsparse.errors import InputError
from small_videos import decoded, write_sound, write_video

OPEN = 'keyint=8:min-keyint=8:open-gop=1:bframes=3:scenecut=0'
UNEVEN = sorted({int(number * 1.7) + number // 5 for number in range(60)})[:40]
INDEXED = {
    'constant rate': ('a.mp4', dict()),
    'variable rate': ('a.mkv', dict(times=UNEVEN)),
    'variable rate, mp4': ('a.mp4', dict(times=UNEVEN, g=10)),
    'open groups': ('a.mp4', dict(x264_params=OPEN)),
    'open groups, stream': ('a.ts', dict(x264_params=OPEN)),
    'pictures refreshed in stripes': ('a.mp4', dict(x264_params='keyint=10:intra-refresh=1:bframes=0')),
    'pyramid': ('a.mp4', dict(x264_params='keyint=20:bframes=5:b-pyramid=normal')),
    'hidden frames': ('a.webm', dict(codec='libvpx', g=10, lag_in_frames=10, auto_alt_ref=1)),
    'odd size': ('a.mkv', dict(codec='ffv1', size=(33, 47))),
    'MPEG-4': ('a.mp4', dict(codec='mpeg4', bf=2, g=8)),
}
COUNTED = {'no times': ('a.avi', dict(bf=2, g=8)), 'no container': ('a.h264', dict(g=8))}


@pytest.mark.parametrize('kind', [*INDEXED, *COUNTED])
def test_frames_are_those_of_decoding_from_the_start(kind, tmp_path):
    name, options = (INDEXED | COUNTED)[kind]
    path = write_video(tmp_path / name, **options)
    expected, video = decoded(path), VideoReader(path)
    assert len(video) == len(expected) and (video.index is not None) == (kind in INDEXED)
    assert np.array_equal(video[range(len(video))], expected)
    for numbers in ([23], [17], [39, 3, 3, 12], [8, 16, 24]):
        assert np.array_equal(video[numbers], expected[numbers]), numbers
    for number in range(0, 40, 3):
        assert np.array_equal(video[[number]][0], expected[number]), number


def test_only_what_lies_behind_a_key_frame_is_decoded(tmp_path, monkeypatch):
    video = VideoReader(
        write_video(tmp_path / 'a.mp4', frames=60, x264_params='keyint=10:min-keyint=10:bframes=0:scenecut=0')
    )
    turned = []
    monkeypatch.setattr(reader, '_upright', lambda frame: turned.append(frame.pts) or np.zeros((2, 2, 3)))
    decode, passed = VideoReader._decode, []
    monkeypatch.setattr(
        VideoReader, '_decode', lambda self, group, key: passed.append(key) or decode(self, group, key)
    )
    video[[55, 12]]
    assert [video.index.pts.index(key.pts) for key in passed] == [10, 50] and len(turned) == 2


UPRIGHT = {
    'as it is': ((1, 0, 0, 1), lambda frame: frame),
    'a quarter clockwise': ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
    'a half': ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
    'a quarter the other way': ((0, -1, 1, 0), np.rot90),
    'left and right': ((-1, 0, 0, 1), np.fliplr),
    'top and bottom': ((1, 0, 0, -1), np.flipud),
    'across': ((0, 1, 1, 0), lambda frame: frame.swapaxes(0, 1)),
}


@pytest.mark.parametrize('way', UPRIGHT)
def test_pictures_are_turned_and_mirrored_by_the_display_matrix(way, tmp_path):
    (a, b, c, d), turn = UPRIGHT[way]
    path = write_video(tmp_path / 'a.mp4', frames=3, size=(32, 64))
    expected = np.stack([turn(frame) for frame in decoded(path)])
    content = bytearray(path.read_bytes())
    at = content.index(b'tkhd') + 4 + 40
    content[at : at + 20] = b''.join((each * 65536).to_bytes(4, 'big', signed=True) for each in (a, b, 0, c, d))
    path.write_bytes(content)
    assert np.array_equal(VideoReader(path)[range(3)], expected)


def bad_file(kind: str, folder: Path) -> Path:
    path = folder / 'bad file.mp4'
    if kind in ('truncated', 'no decoder', 'damaged'):
        content = write_video(path, g=8, size=(64, 96)).read_bytes()
        media, index = content.index(b'mdat') - 4, content.index(b'moov') - 4
        if kind == 'truncated':  # the index stands before what is missing
            with_index_first = content[:media] + content[index:] + content[media : index - (index - media) // 2]
            return _moved(path, with_index_first, len(content) - index)
        if kind == 'damaged':
            content = content[: media + 8] + bytes(index - media - 8) + content[index:]
        path.write_bytes(content.replace(b'avc1', b'zzzz') if kind == 'no decoder' else content)
    elif kind == 'truncated stream':
        path = path.with_suffix('.webm')
        content = write_video(path, codec='libvpx').read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    elif kind == 'no index':
        content = write_video(path).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif kind == 'sound only':
        return write_sound(path)
    elif kind == 'no frame':
        write_video(path, frames=1, movflags='')
        path.write_bytes(_without_samples(path.read_bytes()))
    elif kind == 'empty':
        path.touch()
    elif kind == 'text':
        path.write_text('no video\n' * 50)
    elif kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    return path


def _moved(path: Path, content: bytes, by: int) -> Path:
    """Write an MP4 file whose index now stands before the pictures, so that these lie further behind."""
    content, at = bytearray(content), content.index(b'stco') + 8
    for entry in range(int.from_bytes(content[at : at + 4], 'big')):
        place = at + 4 + 4 * entry
        content[place : place + 4] = (int.from_bytes(content[place : place + 4], 'big') + by).to_bytes(4, 'big')
    path.write_bytes(content)
    return path


def _without_samples(content: bytes) -> bytes:
    """Set the numbers of samples in an MP4 file's tables to none."""
    content = bytearray(content)
    for table, place in ((b'stsz', 12), (b'stts', 8), (b'stsc', 8), (b'stco', 8), (b'stss', 8), (b'ctts', 8)):
        if table in content:
            at = content.index(table) + place
            content[at : at + 4] = bytes(4)
    return bytes(content)


BAD = {
    'missing': 'no such video',
    'folder': 'no regular file',
    'pipe': 'no regular file',
    'empty': 'the file is empty',
    'text': 'finds no video in it',
    'no index': 'truncated, or of another kind',
    'truncated': 'frames that its head promises',
    'truncated stream': 'truncated, it ends after',
    'sound only': 'no video stream, only audio',
    'no decoder': 'no decoder for its video',
    'no frame': 'holds no frame',
    'damaged': 'Invalid data',
}


@pytest.mark.parametrize('kind', BAD)
def test_a_bad_file_is_refused_in_one_sentence_that_names_it(kind, tmp_path):
    path = bad_file(kind, tmp_path)
    with pytest.raises(InputError) as caught:
        VideoReader(path)[[0, 39]]
    text = str(caught.value)
    assert text.startswith(str(path)) and BAD[kind] in text and '\n' not in text


def test_numbers_beyond_the_end_are_refused(tmp_path):
    video = VideoReader(write_video(tmp_path / 'a.mp4', frames=5))
    with pytest.raises(InputError, match=r'frames \[4, 5\], expected some of 0 to 4'):
        video[[4, 5]]
