"""Sparse-Tuning, Table IX e: reduction at layers 6, 9 and 12 (CIFAR-100).

Expected: 91.38 % top-1 by the paper, not measured here; 13.65 GFLOPs, 1.09 M trainable in the backbone (paper: 13.68, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table9e_layers_6_9_12.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(layers=(6, 9, 12))))
