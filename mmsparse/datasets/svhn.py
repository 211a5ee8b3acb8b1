"""Street View House Numbers, read by torchvision from the two official .mat files."""

from pathlib import Path

import numpy as np
from torchvision import datasets

from mmsparse.datasets.array_dataset import ArrayDataset
from mmsparse.errors import InputError
from mmsparse.registry import DATASETS


@DATASETS.register_module()
class SVHN(ArrayDataset):
    """SVHN, cropped digits of 32×32 pixels (Netzer et al., 2011): 73,257 to train, 26,032 to test; no 'extra'.

    Expects ``train_32x32.mat`` and ``test_32x32.mat`` in ``data_root`` and downloads nothing. The files call digit 0
    class 10; here it is 0. Arguments: see :class:`ArrayDataset`.

    Raises:
        InputError: the file is missing, or is not byte by byte what the dataset's authors published.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images N×32×32×3, uint8, BGR, and labels N."""
        try:
            data = datasets.SVHN(self.data_root, self.split)
        except RuntimeError as error:  # torchvision's word for both
            address, name, md5 = datasets.SVHN.split_list[self.split]
            path = Path(self.data_root).expanduser() / name
            received = (
                f'{path} is not the official file'
                if path.is_file()
                else f'received no file at {path}, expected the official one'
            )
            raise InputError(
                f"SVHN: {received} (md5 {md5}). Download {name} from {address} and put it there, or set the dataset's "
                'data_root to its folder.'
            ) from error
        return np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)[..., ::-1]), data.labels
