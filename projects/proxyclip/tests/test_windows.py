"""The sliding window: where it stands, that nothing is left out, and what is done where patches do not divide it."""

import pytest
import torch
from torch.nn import functional as F

from hosts import timm_host
from projects.proxyclip.proxyclip.windows import boxes, cut, join, pad_to
from small_proxyclip import build, images


@pytest.mark.parametrize(
    ('size', 'window', 'count'),
    [
        ((336, 448), 336, 2),
        ((448, 336), 336, 2),
        ((448, 597), 336, 8),
        ((448, 896), 224, 21),
        ((336, 336), 336, 1),
        ((200, 300), 336, 1),
    ],
)
def test_windows_are_as_many_as_published(size, window, count):
    assert len(boxes(*size, window, 112)) == count


@pytest.mark.parametrize('size', [(336, 448), (448, 597), (449, 450), (100, 700)])
def test_windows_lie_inside_have_one_size_and_cover_everything(size):
    cuts = boxes(*size, 336, 112)
    assert {(bottom - top, right - left) for top, bottom, left, right in cuts} == {
        (min(336, size[0]), min(336, size[1]))
    }
    assert all(top >= 0 and bottom <= size[0] and left >= 0 and right <= size[1] for top, bottom, left, right in cuts)
    cover = join(torch.ones(len(cuts), 1, *(min(336, side) for side in size)), cuts, size)
    assert torch.equal(cover, torch.ones(1, 1, *size))


def test_what_is_cut_and_joined_is_what_it_was():
    x = torch.randn(2, 3, 50, 70)
    cuts = boxes(50, 70, 32, 12)
    torch.testing.assert_close(join(cut(x, cuts), cuts, (50, 70)), x)


def test_overlaps_are_averaged():
    cuts = boxes(4, 6, 4, 2)
    said = torch.stack([torch.full((1, 4, 4), value) for value in (1.0, 3.0)])
    assert join(said, cuts, (4, 6))[0, 0, 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_padding_is_even_and_tells_where_the_image_lies():
    padded, (top, bottom, left, right) = pad_to(torch.ones(1, 1, 5, 8), (4, 4))
    assert padded.shape[-2:] == (8, 8)
    assert (top, left) == (1, 0)
    assert padded.sum() == 40 and padded[..., top:bottom, left:right].min() == 1


def test_the_batch_of_windows_does_not_change_the_answer():
    x = images(112, 176, batch=2)
    said = []
    for many in (1, 3, 8):
        model = build(window=112, stride=32, window_batch=many).double()
        with torch.no_grad():
            said.append(model.encode_decode(x.double()))
    torch.testing.assert_close(said[0], said[1], atol=1e-9, rtol=0)
    torch.testing.assert_close(said[0], said[2], atol=1e-9, rtol=0)
    assert said[0].shape == (2, 4, 112, 176)


def test_an_image_smaller_than_the_window_and_no_multiple_of_the_patch_is_padded_and_cropped():
    model, x = build(window=336), images(50, 91)
    with torch.no_grad():
        found = model.encode_decode(x)
        whole = F.pad(x, (2, 3, 7, 7))  # 64 × 96
        expected = F.interpolate(model(whole), size=(64, 96), mode='bilinear', align_corners=False)[..., 7:57, 2:93]
    torch.testing.assert_close(found, expected)


def test_both_patch_sizes_divide_what_is_run():
    assert build(patch=8).multiple == (16, 16)
    vfm = dict(
        type='mmsparse.SparseViT',
        host=timm_host(depth=1, patch_size=14, img_size=56, dynamic_img_size=True),
        out_type='featmap',
    )
    model = build(vfm=vfm)
    assert model.multiple == (112, 112)
    with torch.no_grad():
        assert model.encode_decode(images(100, 120)).shape == (1, 4, 100, 120)
