"""CamVid: streets seen from a car, in the split and the eleven classes of SegNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets import BaseSegDataset

from mmsparse.errors import InputError
from mmsparse.registry import DATASETS

VOID = 11  # unlabelled pixels on disk


@DATASETS.register_module()
class CamVid(BaseSegDataset):
    """Streets in eleven classes (Brostow et al., 2009): 367 pictures to train, 101 to validate, 480×360 pixels.

    Expected below ``data_root``: ``images/{train,val}/NAME.jpg`` and ``annotations/{train,val}/NAME.png`` with ids 0 …
    10 and 11 for void, which is ignored. SegNet's own folders: ``data_prefix=dict(img_path='train',
    seg_map_path='trainannot'), img_suffix='.png'``.

    Args:
        split: 'train' or 'val'; names the folders unless `data_prefix` does.
        data_root: folder of the set.
        data_prefix: folders of pictures and label maps (img_path, seg_map_path) below `data_root`.
        kwargs: the other arguments of mmseg's BaseSegDataset.

    Raises:
        InputError: a folder is missing, or a picture has no label map.
    """

    METAINFO = dict(
        classes=(
            *('sky', 'building', 'pole', 'road', 'pavement', 'tree'),
            *('sign symbol', 'fence', 'car', 'pedestrian', 'bicyclist'),
        ),
        palette=[
            [128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0],
            [192, 128, 128], [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192],
        ],
    )  # fmt: skip

    def __init__(
        self, split: str = 'train', data_root: str = 'data/camvid', data_prefix: dict | None = None, **kwargs
    ):
        folders = data_prefix or dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}')
        super().__init__(data_root=data_root, data_prefix=folders, **kwargs)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Return mmseg's map of ids, by which void pixels become those to be ignored."""
        chosen = super().get_label_map(new_classes) or {index: index for index in range(len(cls.METAINFO['classes']))}
        return {**chosen, VOID: 255}

    def load_data_list(self) -> list[dict]:
        """One dict per picture; MMEngine calls it on first use."""
        for folder in self.data_prefix.values():
            if not Path(folder).is_dir():
                raise InputError(
                    f'CamVid: {folder}: no such folder. Unpack CamVid to data_root={self.data_root!r} as '
                    f'images/{{train,val}}/*.jpg and '
                    'annotations/{train,val}/*.png, or name its folders by data_prefix.'
                )
        found = super().load_data_list()
        lacking = [item['seg_map_path'] for item in found if not Path(item['seg_map_path']).is_file()]
        if lacking or not found:
            raise InputError(
                f'CamVid: {self.data_prefix["img_path"]}: {len(found)} pictures (*{self.img_suffix}), {len(lacking)} '
                f'of them without a label map{f", such as {lacking[0]}" if lacking else ""}. Unpack the whole '
                'archive, or set img_suffix and seg_map_suffix.'
            )
        return found
