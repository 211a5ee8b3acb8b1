"""Photographs for sparsifiers whose cost depends on what an image shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from mmsparse.datasets.image_files import images_at
from mmsparse.datasets.load_image import LoadImage
from mmsparse.datasets.unseen_photos import UnseenPhotos
from mmsparse.errors import InputError

SHIPPED_STEP = 100  # every hundredth of the 1,200 test photographs: four of each class


def photographs(source: str | Path | None) -> list[np.ndarray]:
    """Return pictures, H×W×3, uint8, BGR.

    Args:
        source: an image or a folder of images; None: twelve of the photographs that travel with the package.

    Raises:
        InputError: no image there, or a broken one.
    """
    if source is None:
        return list(UnseenPhotos('test', lazy_init=True).load_arrays()[0][::SHIPPED_STEP])
    return [LoadImage()(dict(img_path=str(file)))['img'] for file in images_at(source)]


def batches(pictures: list[np.ndarray], size: tuple[int, int], batch: int, model: nn.Module) -> Iterator[Tensor]:
    """Yield full batches, B×3×H×W, resized to `size` (height, width), normalised by the model's data preprocessor.

    Raises:
        InputError: fewer pictures than one batch.
    """
    if len(pictures) < batch:
        raise InputError(
            f'--batch {batch}: received {len(pictures)} images, fewer than one batch. Give a folder of more, or a '
            'smaller batch.'
        )
    height, width = size
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean, std = (getattr(preprocessor, name, None) for name in ('mean', 'std'))
    resized = np.stack(
        [cv2.resize(picture[..., ::-1], (width, height), interpolation=cv2.INTER_AREA) for picture in pictures]
    )
    x_b3hw = torch.from_numpy(resized).permute(0, 3, 1, 2).float()
    if mean is not None:  # statistics are written in the order of the channels that the host gets, red first
        x_b3hw = (x_b3hw - mean.view(-1, 1, 1).cpu()) / std.view(-1, 1, 1).cpu()
    yield from (x_b3hw[start : start + batch] for start in range(0, len(pictures) - batch + 1, batch))
