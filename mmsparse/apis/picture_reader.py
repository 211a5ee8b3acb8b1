"""Read a file, a PIL image or an array in the way that the files of a state's test data are read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import mmcv
import numpy as np
from mmcv.transforms import Compose, LoadImageFromFile
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image, ImageOps
from torch import Tensor

from mmsparse.datasets.checked_load import refuse_damaged, refuse_irregular
from mmsparse.datasets.load_image import LoadImage, as_bgr
from mmsparse.errors import InputError, in_words

STORED = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I;16')  # modes that a PNG holds


class Reader:
    """The test pipeline of a card, for files, PIL images and arrays.

    Args:
        pipeline: configs of its transforms, one of them a loader, from `mmsparse.state.pipeline.pipeline_config`.
        scope: the card's default scope.
        file: the card's, named in errors.

    Raises:
        InputError: wrong arguments of a transform.
    """

    def __init__(self, pipeline: list[dict], scope: str, file: str):
        with (
            in_words(f'{file}: the test pipeline on this card cannot be built'),
            DefaultScope.overwrite_default_scope(scope),
        ):
            built = [TRANSFORMS.build(step) for step in pipeline]
        self.load = next(step for step in built if isinstance(step, LoadImage | LoadImageFromFile))
        self.steps = Compose([step for step in built if step is not self.load])

    def __call__(self, source: str | Path | Image.Image | np.ndarray) -> dict:
        """Return a dict of `inputs` (C×H×W, before normalisation) and `data_samples`, as the test data set does.

        Raises:
            InputError: it cannot be read or prepared; the text names it.
        """
        results = self._load(source)
        # a crop larger than this one picture, for instance
        with in_words(f'{_name(source)}: the test pipeline fails on it'):
            return packed(self.steps(results))

    def picture(self, source: str | Path | Image.Image | np.ndarray) -> np.ndarray:
        """Return the picture as the pipeline loads it, in its own size, H×W×3, RGB, uint8.

        Raises:
            InputError: it cannot be read; the text names it.
        """
        loaded = np.atleast_3d(self._load(source)['img']).astype(np.uint8)
        loaded = loaded.repeat(3, axis=2) if loaded.shape[2] == 1 else loaded[..., :3]
        return np.ascontiguousarray(loaded if getattr(self.load, 'to_rgb', False) else loaded[..., ::-1])

    def _load(self, source: str | Path | Image.Image | np.ndarray) -> dict:
        with in_words(
            f'{_name(source)}: cannot be read as an image by {type(self.load).__name__}', 'Replace or leave it out.'
        ):
            source = _as_image(source) if isinstance(source, np.ndarray) else source
            if isinstance(source, Image.Image):
                return self._stored(source)
            if not isinstance(source, str | Path):
                raise TypeError(
                    f'received {type(source).__name__}, expected a path, a PIL image, or an array H×W×3 of uint8 in '
                    'RGB'
                )
            refuse_irregular(source)
            if not isinstance(self.load, LoadImage):
                refuse_damaged(source)
            if (results := self.load(dict(img_path=str(source)))) is None:
                raise ValueError('its loader gives nothing')
            return results

    def _stored(self, image: Image.Image) -> dict:
        """Load a picture in memory as if it were a file."""
        if isinstance(self.load, LoadImage):
            return self.load(dict(img=as_bgr(image)))
        flag, backend = self.load.color_type, self.load.imdecode_backend
        image = ImageOps.exif_transpose(image) if flag in ('color', 'grayscale') else image
        content = BytesIO()
        (image if image.mode in STORED else image.convert('RGB')).save(content, 'PNG', compress_level=0)
        decoded = mmcv.imfrombytes(content.getvalue(), flag=flag, backend='pillow' if backend == 'pillow' else 'cv2')
        decoded = decoded.astype(np.float32) if self.load.to_float32 else decoded
        return dict(img=decoded, img_shape=decoded.shape[:2], ori_shape=decoded.shape[:2])


def packed(results: object) -> dict:
    """Return what a pipeline gives if a model can take it.

    Raises:
        ValueError: it has no tensor of inputs, or no data sample.
    """
    if not (isinstance(results, dict) and isinstance(results.get('inputs'), Tensor) and 'data_samples' in results):
        raise ValueError('it gives no inputs and data_samples, expected a step such as PackInputs at its end')
    return results


def _as_image(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.ndim == 3 and array.shape[2] in (3, 4)):
        raise InputError(
            f'received an array of {array.dtype} and shape {array.shape}, expected H×W×3 (RGB), H×W×4 (RGBA) or H×W '
            'of uint8.'
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _name(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else f'the given {type(source).__name__}'
