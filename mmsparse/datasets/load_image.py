"""Load any image file as the same kind of array."""

from io import BytesIO

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.fileio import get
from PIL import Image, ImageOps, UnidentifiedImageError

from mmsparse.datasets.checked_load import REMEDY, refuse_irregular
from mmsparse.errors import in_words
from mmsparse.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img`` (H×W×3, uint8, BGR), ``img_shape``, ``ori_shape``, as LoadImageFromFile does.

    Unlike it, a truncated file is an error and not a picture that ends in grey. The EXIF orientation is applied. Grey,
    palette, CMYK and the like become colour; transparent pixels are shown on white, as on a page; 16-bit grey keeps
    its upper 8 bits; of an animation the first frame is taken.

    Args:
        to_rgb: hand out RGB; for networks that were trained on a data set of arrays in that order.

    Raises:
        InputError: the file is missing, broken, truncated, or holds pixels without a fixed range (32-bit grey); the
            text names it.
    """

    def __init__(self, to_rgb: bool = False):
        self.to_rgb = to_rgb

    def transform(self, results: dict) -> dict:
        """Add ``img``, ``img_shape`` and ``ori_shape`` (height, width) to what holds ``img_path``, or ``img`` in
        BGR.
        """
        if results.get('img_path') is None and 'img' in results:  # peers' inferencers have read it
            bgr = results['img'] if results['img'].ndim == 3 else results['img'][..., None].repeat(3, axis=2)
        else:
            bgr = _read(results['img_path'])
        results['img'] = np.ascontiguousarray(bgr[..., ::-1]) if self.to_rgb else bgr
        results['img_shape'] = results['ori_shape'] = bgr.shape[:2]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(to_rgb={self.to_rgb})'


def as_bgr(image: Image.Image) -> np.ndarray:
    """Return the first frame of a picture of any mode as H×W×3, uint8, BGR, by the rules of `LoadImage`.

    Raises:
        ValueError: 32-bit grey; other errors where Pillow meets something broken.
    """
    wide = image.format == 'PPM' and image.mode == 'I'  # 16 bits, which Pillow reads into 32
    return np.ascontiguousarray(np.asarray(_to_rgb(ImageOps.exif_transpose(image), wide))[..., ::-1])


def _read(path: str) -> np.ndarray:
    with in_words(f'{path}: cannot be read as an image', REMEDY):
        refuse_irregular(path)
        try:
            image = Image.open(BytesIO(get(path)))
        except UnidentifiedImageError:  # it names an address in memory
            raise ValueError('no kind of image that Pillow knows') from None
        with image:
            return as_bgr(image)


def _to_rgb(image: Image.Image, wide: bool) -> Image.Image:
    if image.mode.startswith('I;16') or wide:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f'grey values from {values.min()} to {values.max()}, expected 0 to 65535')
        image = Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode in ('I', 'F'):
        raise ValueError(f'32-bit grey (mode {image.mode}) has no fixed range, expected 8 or 16 bits')
    if image.has_transparency_data:
        front = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', front.size, 'white'), front)
    return image.convert('RGB')
