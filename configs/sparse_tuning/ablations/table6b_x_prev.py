"""Sparse-Tuning, Table VI b: the Dense Adapter reads x_N and the previous adapter (CIFAR-100).

Expected: 91.95 % top-1 by the paper, not measured here; 11.73 GFLOPs, 0.87 M trainable in the backbone (paper: 11.67, 0.95).
Run: python tools/train.py configs/sparse_tuning/ablations/table6b_x_prev.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(inputs=('x', 'prev'))))
