"""Data sets of the eight benchmarks that mmseg lacks."""

from __future__ import annotations

from mmseg.datasets import COCOStuffDataset, PascalVOCDataset
from mmseg.datasets.basesegdataset import BaseSegDataset

from mmsparse.registry import DATASETS


@DATASETS.register_module()
class PascalVOC20Dataset(PascalVOCDataset):
    """PASCAL VOC without its background, which is ignored: label 0 and the void 255 become 255, the 20 objects 0 to
    19.

    Args:
        kwargs: those of mmseg's ``PascalVOCDataset``.
    """

    METAINFO = {key: values[1:] for key, values in PascalVOCDataset.METAINFO.items()}

    def __init__(self, **kwargs):
        super().__init__(reduce_zero_label=True, **kwargs)


@DATASETS.register_module()
class COCOObjectDataset(BaseSegDataset):
    """The 80 objects of COCO-Stuff 164k and a background of everything else, void included (SCLIP, arXiv 2312.01597).

    The label maps come from ``projects/proxyclip/convert_coco_object.py``.
    """

    METAINFO = dict(
        classes=('background', *COCOStuffDataset.METAINFO['classes'][:80]),
        palette=[[0, 0, 0], *COCOStuffDataset.METAINFO['palette'][:80]],
    )

    def __init__(self, img_suffix: str = '.jpg', seg_map_suffix: str = '_instanceTrainIds.png', **kwargs):
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)
