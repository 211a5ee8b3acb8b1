"""Dense Adapter without reduction, FCN head: the small host, CamVid. What the sparse rows are compared with.

Expected: 21.59 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.880 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_dense_fcn_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
