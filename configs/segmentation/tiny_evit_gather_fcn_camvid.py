"""EViT (arXiv 2202.07800) at .7 under the Dense Adapter, grid restored by gather, FCN head: the small host, CamVid.

Expected: 18.55 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.562 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_evit_gather_fcn_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_fcn.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(backbone=dict(sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7)))
