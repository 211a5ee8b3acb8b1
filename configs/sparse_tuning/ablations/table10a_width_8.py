"""Sparse-Tuning, Table X a: bottleneck of 8 (CIFAR-100).

Expected: 91.03 % top-1 by the paper, not measured here; 11.65 GFLOPs, 0.28 M trainable in the backbone (paper: 11.60, 0.29).
Run: python tools/train.py configs/sparse_tuning/ablations/table10a_width_8.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(bottleneck=8)))
