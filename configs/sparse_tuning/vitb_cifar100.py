"""Sparse-Tuning, ViT-B/16 IN-21k, CIFAR-100 (paper, Table I).

Expected: 92.31 % top-1 by the paper, not measured here; 11.75 GFLOPs, 1.09 M trainable in the adapters (paper: 11.70, 1.10).
Recipe: DyT's, 8 processes of 128 images at a rate of 4e-3; --auto-scale-lr makes that of 1e-3 per 256 images, for any batch.
mmpretrain fetches CIFAR-100 into data/cifar100 on first use.
Run: python tools/train.py configs/sparse_tuning/vitb_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_sparse_tuning.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
