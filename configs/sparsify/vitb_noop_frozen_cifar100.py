"""No token leaves and nothing but the head is trained (Sparse-Tuning, Table V a): ViT-B/16 IN-21k, CIFAR-100.

Expected: 85.87 % top-1 by the paper, not measured here; 17.58 GFLOPs (paper: 17.58).
Run: python tools/train.py configs/sparsify/vitb_noop_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_noop_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
