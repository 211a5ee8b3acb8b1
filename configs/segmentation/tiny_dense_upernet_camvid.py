"""UPerHead (arXiv 1807.10221) on four layers' maps under the Dense Adapter, no reduction: the small host, CamVid.

Expected: 21.77 mIoU (one seed, six epochs, configs/segmentation/README.md), 0.935 GFLOPs per window.
Run: python tools/train.py configs/segmentation/tiny_dense_upernet_camvid.py
"""

_base_ = [
    '../_base_/models/tiny_segmentor.py',
    '../_base_/datasets/camvid_64.py',
    '../_base_/schedules/adamw_camvid.py',
    '../_base_/segmentation_runtime.py',
]
model = dict(
    backbone=dict(out_type='featmap', out_indices=(2, 5, 8, 11)),
    neck=dict(type='MultiLevelNeck', in_channels=[128] * 4, out_channels=64, scales=[1, 0.5, 0.25, 0.125]),
    decode_head=dict(
        type='UPerHead',
        in_channels=[64] * 4,
        in_index=[0, 1, 2, 3],
        channels=64,
        num_classes=11,
        norm_cfg=dict(type='BN'),
    ),
)
