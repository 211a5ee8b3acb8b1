"""Cropr (arXiv 2412.00965), 16 patches out per block, on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 10.89 GFLOPs,
48.03 M trainable in the sparsifier, nearly all of it in auxiliary heads, which evaluation leaves out.
Run: python tools/train.py configs/sparsify/vitb_cropr_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_cropr_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
