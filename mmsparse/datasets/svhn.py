"""Street View House Numbers, from the two official .mat files."""

from pathlib import Path

import numpy as np

from mmsparse.datasets.array_dataset import ArrayDataset
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS

PAGE = 'http://ufldl.stanford.edu/housenumbers'


@DATASETS.register_module()
class SVHN(ArrayDataset):
    """SVHN, cropped digits of 32×32 pixels (Netzer et al., 2011): 73,257 to train, 26,032 to test; 'extra' is not used.

    Expects ``train_32x32.mat`` and ``test_32x32.mat`` in ``data_root`` and downloads nothing. The files call digit 0 class 10; here it is 0.
    Arguments: see :class:`ArrayDataset`.

    Raises:
        InputError: the file is missing, or is not what the dataset's authors published.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×32×32×3, uint8, BGR, and labels N."""
        from scipy.io import loadmat

        path = Path(self.data_root).expanduser() / f'{self.split}_32x32.mat'
        if not path.is_file():
            raise InputError(
                f'SVHN: received no file at {path}, expected the official one. Download {path.name} (format 2, cropped digits) from {PAGE} '
                "and put it there, or set the dataset's data_root to its folder."
            )
        try:
            content = loadmat(path)
            images_hwcn, labels = content['X'], content['y'].ravel()
            images = np.ascontiguousarray(images_hwcn.transpose(3, 0, 1, 2)[..., ::-1])
        except Exception as error:  # scipy raises whatever its parser meets in a broken file
            raise InputError(f'SVHN: {path} cannot be read ({error!r}). Expected the official file with arrays X and y; fetch it again.') from error
        if images.shape[1:] != (32, 32, 3) or images.dtype != np.uint8 or len(images) != len(labels) or not np.isin(labels, range(1, 11)).all():
            raise InputError(
                f'SVHN: {path} holds X of {images_hwcn.shape} {images.dtype} and {len(labels)} labels, '
                'expected 32×32×3×N uint8 and N labels from 1 to 10. Fetch the official file again.'
            )
        return images, labels % 10
