"""Sparse-Tuning on four real clips, cut in time: the small host, 8 frames, later segments held out; offline.

A check of the path from file to score, no figure of the paper. Expected: 83 % top-1 of 24
segments (seed 0, 2026-11-30, 2-core EPYC); chance is 25.
Run: python tools/train.py configs/video/tiny_clips.py
"""

_base_ = [
    '../_base_/models/tiny_video.py',
    '../_base_/datasets/tiny_clips.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
train_cfg = dict(max_epochs=30)
auto_scale_lr = dict(base_batch_size=8)
