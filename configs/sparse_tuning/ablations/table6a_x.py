"""Sparse-Tuning, Table VI a: the Dense Adapter reads x_N alone (CIFAR-100).

Expected: 91.10 % top-1 by the paper, not measured here; 11.70 GFLOPs, 0.60 M trainable in the backbone (paper: 11.19, 0.69).
Run: python tools/train.py configs/sparse_tuning/ablations/table6a_x.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(inputs=('x',))))
