"""Clips of bytes become batches of normalised floats."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.models import ClsDataPreprocessor

from mmsparse.errors import InputError
from mmsparse.registry import MODELS


@MODELS.register_module()
class VideoDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's ClsDataPreprocessor for clips.

    Each `inputs` is a clip of V views, V×T×3×H×W, RGB, uint8 as a rule; a batch becomes B×V×T×3×H×W, float. Labels and
    batch augmentations (Mixup, CutMix) are mmpretrain's; all frames of a clip are mixed with those of another in the
    same way.

    Args:
        mean: of the channels R, G, B, in bytes.
        std: likewise.
        num_classes: number of classes, for one-hot labels and heads.
        to_onehot: whether to turn labels to scores.
        batch_augments: mmpretrain's.

    Raises:
        InputError: clips of several shapes in a batch, or no clips.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        num_classes: int | None = None,
        to_onehot: bool = False,
        batch_augments: dict | None = None,
    ):
        super().__init__(to_onehot=to_onehot, num_classes=num_classes, batch_augments=batch_augments)
        for name, value in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return the batch, on the device of the model.

        Args:
            data: `inputs`, a list of clips or a batch of them, and `data_samples`.
            training: whether to mix clips.
        """
        clips = self.cast_data(data['inputs'])
        shapes = sorted({tuple(clip.shape) for clip in clips})
        if len(shapes) > 1 or len(shapes[0]) != 5:
            raise InputError(
                f'VideoDataPreprocessor: received inputs of {", ".join(map(str, shapes))}, expected clips '
                'views×frames×3×H×W of one shape. Crop all to one size, and end the pipeline with mmsparse.PackVideo.'
            )
        clips = clips if isinstance(clips, torch.Tensor) else torch.stack(clips)
        clips = (clips.float() - self.mean) / self.std
        views = clips.shape[1:4]  # mmpretrain's augmentations know one axis before height and width
        out = super().forward(dict(data, inputs=clips.flatten(1, 3)), training)
        return dict(out, inputs=out['inputs'].unflatten(1, views))
