"""Sparse-Tuning, Table V c: Dense Adapter without sparsification (CIFAR-100).

Expected: 92.66 % top-1 by the paper, not measured here; 17.80 GFLOPs, 1.09 M trainable in the backbone (paper: 17.89, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table5c_adapter_only.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=None))
