"""UPerHead (arXiv 1807.10221) on Sparse-Tuning with EViT at .7, four layers restored by delta: the small host, CamVid.

Expected: 21.91 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.617 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_evit_upernet_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_segmentor.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
_maps = dict(type='MultiLevelNeck', in_channels=[128] * 4, out_channels=64, scales=[1, 0.5, 0.25, 0.125])
_sparsifier = dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7)
_head = dict(type='UPerHead', in_channels=[64] * 4, in_index=[0, 1, 2, 3], channels=64, num_classes=11)
model = dict(
    backbone=dict(out_indices=(2, 5, 8, 11), sparsifier=_sparsifier, stash=True),
    neck=dict(type='mmsparse.Restore', mode='delta', then=_maps),
    decode_head=dict(_head, norm_cfg=dict(type='BN')),
)
