"""Sparse-Tuning, Table IX b: reduction at layers 3, 6 and 9 (CIFAR-100).

Expected: 91.03 % top-1 by the paper, not measured here; 10.80 GFLOPs, 1.09 M trainable in the backbone (paper: 11.35, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table9b_layers_3_6_9.py --auto-scale-lr
"""

_base_ = ['../vitb_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(layers=(3, 6, 9))))
