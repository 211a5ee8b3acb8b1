"""Sparse-Tuning, ViT-L/16 IN-21k, keep rate .5, CIFAR-100 (paper, Table XIII).

Expected: 93.56 % top-1 by the paper, not measured here; 30.32 GFLOPs, 2.94 M trainable in the adapters (paper: 30.63, 2.93).
Run: python tools/train.py configs/sparse_tuning/vitl_50_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitl_sparse_tuning.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(sparsifier=dict(keep_rate=0.5)), head=dict(num_classes={{_base_.data_preprocessor.num_classes}})
)
