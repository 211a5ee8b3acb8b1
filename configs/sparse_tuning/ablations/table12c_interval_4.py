"""Sparse-Tuning, Table XII c: reduction every 4 layers (CIFAR-100).

Expected: 91.92 % top-1 by the paper, not measured here; 12.47 GFLOPs, 1.09 M trainable in the backbone (paper: 14.13, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table12c_interval_4.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(layers=(4, 8, 12))))
