"""One's own pictures: what a folder holds, how it is parted, and what host, data and schedule follow from it."""

from pathlib import Path

from PIL import Image

from mmsparse.datasets.image_files import extensions, image_files


def picture(path: Path, size=(32, 32), colour='red', mode='RGB', **options) -> Path:
    """Write a picture of one colour; its name says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, colour).convert(mode).save(path, **options)
    return path


def test_every_kind_that_pillow_reads_is_a_picture_and_what_cannot_be_read_is_none():
    assert {'.jpg', '.jpeg', '.jfif', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff', '.ppm', '.avif'} <= extensions()
    assert not {'.pdf', '.mpg', '.mp4', '.h5', '.txt', '.json', '.npy', ''} & extensions()


def test_a_folder_is_listed_whole_in_one_order(tmp_path):
    shown = [picture(tmp_path / name) for name in ('a/B.JPG', 'a/a.webp', 'a/deep/c.GIF', 'b/x.png')]
    for name in ('.DS_Store', 'a/._B.JPG', '__MACOSX/a/B.JPG', '.cache/x.png', 'a/notes.txt', 'a/film.mp4'):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'b/back').symlink_to(tmp_path)
    found = image_files(tmp_path)
    assert found.images == sorted(shown)
    assert [path.name for path in found.others] == ['film.mp4', 'notes.txt']
    assert {path.relative_to(tmp_path).as_posix() for path in found.hidden} == {'.DS_Store', '.cache/x.png', '__MACOSX/a/B.JPG', 'a/._B.JPG'}
