"""Sparse-Tuning, Table XI c: reduction starts at layer 5, the long link spans 4 (CIFAR-100).

Expected: 91.54 % top-1 by the paper, not measured here; 12.70 GFLOPs, 1.07 M trainable in the backbone (paper: 11.61, 1.07).
Run: python tools/train.py configs/sparse_tuning/ablations/table11c_start_5.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(skip=4), sparsifier=dict(layers=(5, 8, 11))))
