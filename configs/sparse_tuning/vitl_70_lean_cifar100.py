"""Sparse-Tuning, ViT-L/16 IN-21k, keep rate .7, CIFAR-100 (paper, Table XIII) where memory is short.

Expected: as vitl_70_cifar100.py, whose gradients it has: 93.97 % top-1 by the paper, not measured here; 40.47 GFLOPs, 2.94 M trainable.
`memory='lean'` keeps about a third of the bytes and computes attention and FFNs again in the backward pass (docs/benchmarks.md).
Run: python tools/train.py configs/sparse_tuning/vitl_70_lean_cifar100.py --auto-scale-lr
"""

_base_ = ['./vitl_70_cifar100.py']
model = dict(backbone=dict(memory='lean'))
