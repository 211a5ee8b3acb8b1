"""Sparse-Tuning, Table X b: bottleneck of 16 (CIFAR-100).

Expected: 91.75 % top-1 by the paper, not measured here; 11.69 GFLOPs, 0.55 M trainable in the backbone (paper: 11.63, 0.56).
Run: python tools/train.py configs/sparse_tuning/ablations/table10b_width_16.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(bottleneck=16)))
