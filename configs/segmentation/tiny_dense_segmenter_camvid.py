"""Segmenter's linear head (arXiv 2105.05633) under the Dense Adapter, no reduction: the small host, CamVid.

Expected: 21.40 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.862 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_dense_segmenter_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(decode_head=dict(num_convs=0, channels=128, dropout_ratio=0.0))
