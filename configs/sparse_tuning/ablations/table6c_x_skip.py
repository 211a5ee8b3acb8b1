"""Sparse-Tuning, Table VI c: the Dense Adapter reads x_N and the adapter three layers before (CIFAR-100).

Expected: 91.61 % top-1 by the paper, not measured here; 11.72 GFLOPs, 0.82 M trainable in the backbone (paper: 11.67, 0.95).
Run: python tools/train.py configs/sparse_tuning/ablations/table6c_x_skip.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(inputs=('x', 'skip'))))
