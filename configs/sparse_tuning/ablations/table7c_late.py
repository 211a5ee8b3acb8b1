"""Sparse-Tuning, Table VII c: one bottleneck for each input of the Dense Adapter (CIFAR-100).

Expected: 91.27 % top-1 by the paper, not measured here; 11.81 GFLOPs, 1.60 M trainable in the backbone (paper: 11.81, 1.68).
Run: python tools/train.py configs/sparse_tuning/ablations/table7c_late.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(fusion='late')))
