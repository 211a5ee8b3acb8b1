"""Sparse-Tuning, Table XI a: reduction starts at layer 3, the long link spans 2 (CIFAR-100).

Expected: 92.12 % top-1 by the paper, not measured here; 10.81 GFLOPs, 1.12 M trainable in the backbone (paper: 11.78, 1.13).
Run: python tools/train.py configs/sparse_tuning/ablations/table11a_start_3.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(skip=2), sparsifier=dict(layers=(3, 6, 9))))
