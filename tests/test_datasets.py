"""Datasets and the image loader: what a pipeline gets, and what is said about files that are missing or broken."""

from hashlib import md5
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmpretrain.registry import DATASETS as MMPRETRAIN_DATASETS
from mmpretrain.registry import TRANSFORMS as MMPRETRAIN_TRANSFORMS
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision import datasets

from mmsparse.errors import InputError


def build(**cfg):
    return MMPRETRAIN_DATASETS.build(cfg)


def load(path) -> np.ndarray:
    """The pixels as RGB."""
    results = MMPRETRAIN_TRANSFORMS.build(dict(type='mmsparse.LoadImage'))(dict(img_path=str(path)))
    assert results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == results['img'].shape[:2]
    return results['img'][..., ::-1]


def test_digits_are_all_there_once_and_in_order():
    train, test = (build(type='mmsparse.Digits', split=split) for split in ('train', 'test'))
    assert (len(train), len(test)) == (1000, 797)
    assert train.metainfo['classes'] == tuple('0123456789')
    original = load_digits()
    images = np.stack([d[i]['img'] for d in (train, test) for i in range(len(d))])
    assert images.dtype == np.uint8 and images.shape == (1797, 8, 8, 3)
    assert (images.min(), images.max()) == (0, 255)
    np.testing.assert_array_equal(np.rint(images / (255 / 16)), np.repeat(original.images[..., None], 3, axis=-1))
    np.testing.assert_array_equal(np.concatenate([train.get_gt_labels(), test.get_gt_labels()]), original.target)


def test_digits_run_through_mmpretrains_pipeline():
    pipeline = [dict(type='Resize', scale=32, interpolation='bicubic', backend='pillow'), dict(type='PackInputs')]
    item = build(type='mmsparse.Digits', split='test', pipeline=pipeline, indices=3)[2]
    assert item['inputs'].shape == (3, 32, 32)
    assert item['data_samples'].gt_label.item() == load_digits().target[1002]
    assert item['data_samples'].ori_shape == (8, 8)


@pytest.mark.parametrize('name', ['Digits', 'SVHN'])
def test_a_wrong_split_is_refused(name):
    with pytest.raises(InputError, match=f"{name}: received split='val', expected one of train, test"):
        build(type=f'mmsparse.{name}', split='val')


def svhn_file(path, count=12) -> np.ndarray:
    x = np.random.default_rng(0).integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
    savemat(path, dict(X=x, y=np.arange(count)[:, None] % 10 + 1))
    return x


def test_svhn_reads_the_official_layout(tmp_path, monkeypatch):
    x = svhn_file(tmp_path / 'test_32x32.mat')
    address, name, _ = datasets.SVHN.split_list['test']
    monkeypatch.setitem(
        datasets.SVHN.split_list, 'test', [address, name, md5((tmp_path / name).read_bytes()).hexdigest()]
    )
    data = build(type='mmsparse.SVHN', split='test', data_root=str(tmp_path))
    assert list(data.get_gt_labels()) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]  # the files call digit 0 class 10
    np.testing.assert_array_equal(data[7]['img'], x[:, :, ::-1, 7])  # RGB in the file, BGR in a pipeline


def test_svhn_names_the_file_that_is_missing_and_its_place(tmp_path):
    with pytest.raises(InputError, match=f'no file at {tmp_path}/test_32x32.mat.*Download test_32x32.mat.*data_root'):
        build(type='mmsparse.SVHN', split='test', data_root=str(tmp_path))


def test_svhn_refuses_any_other_file(tmp_path):
    svhn_file(tmp_path / 'train_32x32.mat')
    with pytest.raises(InputError, match='train_32x32.mat is not the official file .*Download'):
        build(type='mmsparse.SVHN', data_root=str(tmp_path))


RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def encoded(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def test_colour_is_kept_and_delivered_as_bgr(tmp_path):
    np.testing.assert_array_equal(load(encoded(Image.fromarray(RGB), tmp_path / 'a.png')), RGB)


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'LA', 'RGBA'])
def test_modes_that_hold_grey_give_that_grey(tmp_path, mode):
    grey = GREY if mode != '1' else (GREY > 127).astype(np.uint8) * 255
    image = Image.fromarray(grey).convert(mode, dither=Image.Dither.NONE)
    np.testing.assert_array_equal(load(encoded(image, tmp_path / 'a.png')), np.repeat(grey[..., None], 3, axis=-1))


def test_16_bit_grey_keeps_its_upper_bits(tmp_path):
    deep = GREY.astype(np.uint16) * 256 + 37
    np.testing.assert_array_equal(
        load(encoded(Image.fromarray(deep), tmp_path / 'a.png')), np.repeat(GREY[..., None], 3, axis=-1)
    )


def test_16_bits_of_a_pgm_are_read_and_32_bits_refused(tmp_path):
    deep = GREY.astype(np.uint16) * 256 + 37
    (tmp_path / 'a.pgm').write_bytes(b'P5 7 5 65535\n' + deep.byteswap().tobytes())
    np.testing.assert_array_equal(load(tmp_path / 'a.pgm'), np.repeat(GREY[..., None], 3, axis=-1))
    with pytest.raises(InputError, match='32-bit grey .mode I. has no fixed range'):
        load(encoded(Image.fromarray(GREY.astype(np.int32)), tmp_path / 'a.tif'))


@pytest.mark.parametrize('mode', ['LA', 'RGBA', 'P'])
def test_transparency_shows_white_paper(tmp_path, mode):
    image = Image.new('RGBA', (4, 3), (0, 0, 0, 0))
    image.putpixel((2, 1), (0, 0, 0, 255))
    pixels = load(encoded(image.convert(mode), tmp_path / 'a.png'))
    assert pixels[1, 2].tolist() == [0, 0, 0]
    assert pixels.sum() == 255 * 3 * 11


def test_cmyk_becomes_colour(tmp_path):
    smooth = np.full((16, 16, 3), (200, 30, 90), np.uint8)
    pixels = load(encoded(Image.fromarray(smooth).convert('CMYK'), tmp_path / 'a.jpg', quality=100))
    assert np.abs(pixels.astype(int) - smooth).max() <= 3


@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """Each EXIF code, from the definition: which stored edge is the visual top and which the visual left."""
    expected = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: np.rot90(RGB, -1),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(RGB, 1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(load(encoded(Image.fromarray(RGB), tmp_path / 'a.png', exif=exif)), expected)


def test_floating_point_grey_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r'a\.tif: .*32-bit grey'):
        load(encoded(Image.fromarray(GREY.astype(np.float32)), tmp_path / 'a.tif'))


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(InputError, match=r'nowhere\.jpg: cannot be read'):
        load(tmp_path / 'nowhere.jpg')


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'bmp'])
@settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(keep=st.floats(0, 0.9))
def test_a_truncated_image_is_named_and_never_filled_up(tmp_path, kind, keep):
    stored = BytesIO()
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
        stored, 'jpeg' if kind == 'jpg' else kind
    )
    path = tmp_path / f'cut.{kind}'
    path.write_bytes(stored.getvalue()[: int(keep * len(stored.getvalue()))])
    with pytest.raises(InputError, match=f'cut.{kind}: cannot be read'):
        load(path)


MAGIC = [b'', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff', b'GIF89a', b'BM', b'RIFF____WEBP', b'II*\x00', b'P5 3 3 70000 ']


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.sampled_from(MAGIC), junk=st.binary(max_size=60))
def test_junk_raises_nothing_but_an_input_error(tmp_path, start, junk):
    path = tmp_path / 'junk'
    path.write_bytes(start + junk)
    try:
        load(path)
    except InputError as error:
        assert str(path) in str(error)


def test_unseen_photos_are_three_balanced_classes_of_real_pictures():
    train, test = (build(type='mmsparse.UnseenPhotos', split=split) for split in ('train', 'test'))
    assert [len(train), len(test)] == [300, 1200]
    assert train.metainfo['classes'] == ('cat', 'deer', 'frog')
    for dataset in (train, test):
        labels = dataset.get_gt_labels()
        assert np.bincount(labels).tolist() == [len(dataset) // 3] * 3
        pictures = np.stack([dataset[i]['img'] for i in range(0, len(dataset), 7)])
        assert pictures.shape[1:] == (32, 32, 3) and pictures.dtype == np.uint8
        assert (pictures.reshape(len(pictures), -1).std(1) > 5).all()
    assert {train[i]['img'].tobytes() for i in range(300)}.isdisjoint(test[i]['img'].tobytes() for i in range(1200))
