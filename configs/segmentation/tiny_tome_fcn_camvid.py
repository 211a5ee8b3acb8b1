"""ToMe (arXiv 2210.09461), 14 pairs per layer under the Dense Adapter, unmerged by gather, FCN head: the small host, CamVid.

Expected: 21.60 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.565 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_tome_fcn_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(backbone=dict(sparsifier=dict(type='mmsparse.ToMe', r=14)))
