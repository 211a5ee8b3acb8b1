"""Sparse-Tuning (arXiv 2405.14700), 70 % of the patches at layers 4, 7 and 10: ViT-B/16 IN-21k on 8 frames, Kinetics-400.

Expected: 75.55 % by the paper (Table I), not measured here; 94.71 GFLOPs, 1.09 M trainable without head
(paper: 99.80, 1.10 M).
Run: python tools/train.py configs/video/k400_sparse_tuning.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/k400.py',
    '../_base_/schedules/adamw_k400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7, fuse='merge', normalize=True),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
