"""EViT (arXiv 2202.07800) on a frozen host: ViT-B/16 IN-21k, CIFAR-100 (Sparse-Tuning, Table V b).

Expected: 76.59 % top-1 by the paper, not measured here; 11.62 GFLOPs (paper: 10.81, below EViT's own), nothing but the head is trained.
Run: python tools/train.py configs/sparsify/vitb_evit_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_evit_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
