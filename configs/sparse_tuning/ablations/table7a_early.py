"""Sparse-Tuning, Table VII a: the inputs of the Dense Adapter are summed first (CIFAR-100).

Expected: 91.05 % top-1 by the paper, not measured here; 11.70 GFLOPs, 0.60 M trainable in the backbone (paper: 11.19, 0.69).
Run: python tools/train.py configs/sparse_tuning/ablations/table7a_early.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(adapter=dict(fusion='early')))
