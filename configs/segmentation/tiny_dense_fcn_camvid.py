"""Dense Adapter without reduction, FCN head: the small host, CamVid. What the sparse rows are compared with.

Expected: the mIoU of this row in configs/segmentation/README.md.
Run: python tools/train.py configs/segmentation/tiny_dense_fcn_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
