"""Sparse-Tuning, Table IX a: reduction at layers 2, 5 and 8 (CIFAR-100).

Expected: 89.77 % top-1 by the paper, not measured here; 9.86 GFLOPs, 1.09 M trainable in the backbone (paper: 10.78, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table9a_layers_2_5_8.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(layers=(2, 5, 8))))
