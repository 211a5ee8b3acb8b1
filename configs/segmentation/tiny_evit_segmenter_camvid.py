"""Segmenter's linear head (arXiv 2105.05633) on Sparse-Tuning with EViT at .7, restored by delta: the small host, CamVid.

Expected: 21.19 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.543 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_evit_segmenter_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    backbone=dict(sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7), stash=True),
    neck=dict(mode='delta'),
    decode_head=dict(num_convs=0, channels=128, dropout_ratio=0.0),
)
