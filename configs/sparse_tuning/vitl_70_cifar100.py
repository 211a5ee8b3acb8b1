"""Sparse-Tuning, ViT-L/16 IN-21k, keep rate .7, CIFAR-100 (paper, Table XIII).

Expected: 93.97 % top-1 by the paper, not measured here; 40.47 GFLOPs, 2.94 M trainable in the adapters (paper: 40.08, 2.93).
Run: python tools/train.py configs/sparse_tuning/vitl_70_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitl_sparse_tuning.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
