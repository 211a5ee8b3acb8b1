"""Which frames make a clip, and what happens to all frames of a clip alike."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS

from mmsparse.datasets.video.clip_transforms import PackVideo, RandAugmentClip, ResizeShortSide, ViewCrops
from mmsparse.datasets.video.moving_digits import MovingDigits
from mmsparse.datasets.video.sample_frames import DecodeFrames, OpenVideo, SampleDense, SampleSegments
from mmsparse.datasets.video.tiny_clips import TinyClips
from mmsparse.errors import InputError


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)
    torch.manual_seed(0)


def test_dense_clips_start_anywhere_and_repeat_the_last_frame_of_a_short_video():
    drawn = np.concatenate([SampleDense(8, 16, random=True).numbers(120) for _ in range(200)])
    assert set(drawn[:, 0]) == set(range(8)) and (np.diff(drawn, axis=1) == 16).all()
    for random in (False, True):
        assert SampleDense(8, 16, random=random).numbers(50).tolist() == [[0, 16, 32, 48, 49, 49, 49, 49]]
        assert SampleDense(8, 16, random=random).numbers(1).tolist() == [[0] * 8]
    assert SampleDense(8, 16, clips=3).numbers(213)[:, 0].tolist() == [0, 50, 100]
    assert SampleDense(8, 16).numbers(213)[:, 0].tolist() == [50]


@pytest.mark.parametrize('count', [3, 8, 61])
def test_segments_give_one_frame_each_the_middle_one_in_testing(count):
    drawn = np.concatenate([SampleSegments(8, random=True).numbers(count) for _ in range(300)])
    edges = [count * part // 8 for part in range(9)]
    for part, numbers in enumerate(drawn.T):
        assert set(numbers) == set(range(edges[part], max(edges[part + 1], edges[part] + 1)))
    assert SampleSegments(8).numbers(80).tolist() == [[4, 14, 24, 34, 44, 54, 64, 74]]
    assert drawn.max() < count and SampleSegments(8).numbers(count).max() < count


def clip(frames=8, height=40, width=60, views=1) -> dict:
    img = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8).repeat(views * frames, 1, 1, 1)
    return dict(img=img, views=views, gt_label=2)


def built(type: str, **settings):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return TRANSFORMS.build(dict(type=type, **settings))


RANDOM = {
    'jitter': lambda: ResizeShortSide(32, (1.0, 1.15)),
    'crop': lambda: built('torchvision/RandomCrop', size=32),
    'resized crop': lambda: built('torchvision/RandomResizedCrop', size=32, scale=(0.08, 1.0)),
    'mirror': lambda: built('torchvision/RandomHorizontalFlip'),
    'RandAugment': lambda: RandAugmentClip(size=32),
}


@pytest.mark.parametrize('kind', RANDOM)
def test_random_values_are_the_same_for_all_frames_and_others_for_the_next_clip(kind):
    step, start, results = RANDOM[kind](), clip(), []
    for _ in range(8):
        out = step(dict(start))['img']
        assert out.dtype == torch.uint8 and (out == out[:1]).all()
        results.append(out)
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(results, results[1:]))


def test_short_sides_lie_between_224_and_258_pixels():
    sides = {ResizeShortSide(224, (1.0, 1.15))(clip(1, 48, 64))['img'].shape[2] for _ in range(300)}
    assert min(sides) in (224, 225) and max(sides) in (257, 258)
    assert ResizeShortSide(24)(clip(1, 60, 40))['img'].shape[2:] == (36, 24)


@pytest.mark.parametrize(('height', 'width'), [(32, 61), (61, 32)])
def test_crops_are_views_and_those_of_one_clip_stand_together(height, width):
    start = clip(2, height, width, views=2)
    start['img'][2:] //= 2
    packed = PackVideo()(ViewCrops(32, 3)(start))
    assert packed['inputs'].shape == (6, 2, 3, 32, 32) and packed['data_samples'].gt_label.item() == 2
    for view, (clip_number, at) in enumerate([(0, 0), (0, 14), (0, 29), (1, 0), (1, 14), (1, 29)]):
        whole = start['img'][2 * clip_number : 2 * clip_number + 2]
        cut = whole[..., at : at + 32, :] if height > width else whole[..., at : at + 32]
        assert torch.equal(packed['inputs'][view], cut)
    middle = PackVideo()(ViewCrops(32)(start))['inputs']
    assert torch.equal(middle, packed['inputs'][[1, 4]])


def test_frames_that_are_smaller_than_the_crop_are_refused():
    with pytest.raises(InputError, match='frames of .20, 40. for crops of 32 px'):
        ViewCrops(32)(clip(1, 20, 40))


def test_every_moving_digit_is_there_backwards_with_the_opposite_label():
    data = MovingDigits('test', directions=('left', 'right', 'up', 'down'), pipeline=[])
    clips = [(data[i]['frames_thwc'], data[i]['gt_label']) for i in range(len(data))]
    for (forwards, label), (backwards, opposite) in zip(clips[::2], clips[1::2]):
        assert np.array_equal(forwards, backwards[::-1]) and {label, opposite} in ({0, 1}, {2, 3})
    right = next(frames for frames, label in clips if label == 1)
    assert all(np.array_equal(np.roll(a, 2, axis=1), b) for a, b in zip(right, right[1:]))
    assert np.bincount([label for _, label in clips]).tolist() == [100] * 4
    with pytest.raises(InputError, match="without 'right'"):
        MovingDigits(directions=('left', 'up', 'down'))


def test_segments_of_the_shipped_clips_do_not_meet_and_become_a_batch():
    pipeline = [OpenVideo(), SampleSegments(8), DecodeFrames(), ResizeShortSide(32), ViewCrops(32), PackVideo()]
    train, test = (TinyClips(split, pipeline=pipeline) for split in ('train', 'test'))
    assert (len(train), len(test)) == (48, 24)
    for label in range(4):
        own = [
            [item['segment'] for item in map(data.get_data_info, range(len(data))) if item['gt_label'] == label]
            for data in (train, test)
        ]
        assert own[0][0][0] == 0 and all(a[1] == b[0] for part in own for a, b in zip(part, part[1:]))
        assert own[0][-1][1] < own[1][0][0]
    batch = pseudo_collate([test[0], test[23]])
    numbers = batch['data_samples'][1].frame_numbers
    assert batch['inputs'][1].shape == (1, 8, 3, 32, 32) and numbers.min() >= test.get_data_info(23)['segment'][0]
    shuffled = TinyClips('train', label_seed=0, pipeline=[])
    assert sorted(shuffled.get_gt_labels()) == sorted(train.get_gt_labels())
    assert 0.1 < (shuffled.get_gt_labels() == train.get_gt_labels()).mean() < 0.45
