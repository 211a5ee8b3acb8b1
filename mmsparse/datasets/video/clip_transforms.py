"""What is done to all frames of a clip at once, with the same random values, and packing them."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmpretrain.structures import DataSample
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from torchvision.transforms.v2.functional import resize

from mmsparse.errors import InputError, in_words
from mmsparse.registry import TRANSFORMS
from mmsparse.utils.value_checks import check_count

META = ('sample_idx', 'video_path', 'ori_shape', 'img_shape', 'num_frames', 'segment', 'fps', 'frame_numbers')


@TRANSFORMS.register_module()
class ResizeShortSide(BaseTransform):
    """Scale a clip (``img``, N×3×H×W, uint8) so that its shorter side has `size` pixels times a factor drawn once.

    Args:
        size: pixels.
        ratio_range: least and greatest factor; equal ones for no jitter.
    """

    def __init__(self, size: int = 224, ratio_range: Sequence[float] = (1.0, 1.0)):
        check_count('ResizeShortSide: received size', size, 224)
        if len(ratio_range) != 2 or not 0 < ratio_range[0] <= ratio_range[1]:
            raise InputError(
                f'ResizeShortSide: received ratio_range={ratio_range!r}, expected two rising factors, '
                'such as (1.0, 1.15).'
            )
        self.size, self.ratio_range = size, tuple(ratio_range)

    def transform(self, results: dict) -> dict:
        """Change ``img``."""
        low, high = self.ratio_range
        side = round(self.size * (np.random.uniform(low, high) if low < high else low))
        return dict(results, img=resize(results['img'], [side], antialias=True))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, ratio_range={self.ratio_range})'


@TRANSFORMS.register_module()
class ViewCrops(BaseTransform):
    """Cut squares out of a clip along its longer side, each of them a view: one from the middle, or spread evenly.

    Args:
        size: of the square; at most the shorter side.
        crops: how many: 1, or 3 from one end to the other.
    """

    def __init__(self, size: int = 224, crops: int = 1):
        check_count('ViewCrops: received size', size, 224)
        check_count('ViewCrops: received crops', crops, 3)
        self.size, self.crops = size, crops

    def transform(self, results: dict) -> dict:
        """Change ``img`` and ``views``: the crops of the first clip come first."""
        img_nchw = results['img']
        slack = [side - self.size for side in img_nchw.shape[-2:]]
        if min(slack) < 0:
            raise InputError(
                f'ViewCrops: received frames of {tuple(img_nchw.shape[-2:])} for crops of {self.size} px. Put '
                f"dict(type='mmsparse.ResizeShortSide', size={self.size}) before it."
            )
        places = [0.5] if self.crops == 1 else np.linspace(0, 1, self.crops)
        views = []
        for clip in img_nchw.unflatten(0, (results['views'], -1)):
            for place in places:
                # only the longer side is travelled; the other one is cut in its middle
                top, left = (int(extra * (place if extra == max(slack) else 0.5)) for extra in slack)
                views.append(clip[..., top : top + self.size, left : left + self.size])
        return dict(results, img=torch.cat(views), views=len(views))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, crops={self.crops})'


@TRANSFORMS.register_module()
class RandAugmentClip(BaseTransform):
    """timm's RandAugment with the same operations and strengths for every frame of a clip.

    Args:
        policy: timm's word for it, such as 'rand-m7-n4-mstd0.5-inc1'.
        size: pixels of a frame, of which shifts are shares.
    """

    def __init__(self, policy: str = 'rand-m7-n4-mstd0.5-inc1', size: int = 224):
        self.policy, self.size = policy, size
        with in_words(
            f'RandAugmentClip: received policy={policy!r}', "Expected timm's form, such as rand-m7-n4-mstd0.5-inc1."
        ):
            self.augment = rand_augment_transform(
                policy, dict(translate_const=int(size * 0.45), img_mean=(128, 128, 128))
            )

    def transform(self, results: dict) -> dict:
        """Change ``img``."""
        drawn, frames = (random.getstate(), np.random.get_state()), []
        for frame_chw in results['img']:
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])
            frame = Image.fromarray(frame_chw.permute(1, 2, 0).contiguous().numpy())
            frames.append(np.asarray(self.augment(frame)))
        return dict(results, img=torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(policy={self.policy!r}, size={self.size})'


@TRANSFORMS.register_module()
class PackVideo(BaseTransform):
    """Hand over ``inputs``, views × frames × 3 × H × W, uint8, RGB, and a `DataSample` with label and origin."""

    def transform(self, results: dict) -> dict:
        """Return what the model's data preprocessor takes."""
        img_nchw = results['img']
        sample, results = DataSample(), dict(results, img_shape=tuple(img_nchw.shape[-2:]))
        if 'gt_label' in results:
            sample.set_gt_label(results['gt_label'])
        sample.set_metainfo({key: results[key] for key in META if key in results})
        return dict(inputs=img_nchw.contiguous().unflatten(0, (results['views'], -1)), data_samples=sample)
