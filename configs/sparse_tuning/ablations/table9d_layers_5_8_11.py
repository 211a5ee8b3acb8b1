"""Sparse-Tuning, Table IX d: reduction at layers 5, 8 and 11 (CIFAR-100).

Expected: 92.12 % top-1 by the paper, not measured here; 12.70 GFLOPs, 1.09 M trainable in the backbone (paper: 12.73, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table9d_layers_5_8_11.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(layers=(5, 8, 11))))
