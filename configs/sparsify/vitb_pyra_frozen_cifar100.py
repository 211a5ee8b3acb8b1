"""PYRA (arXiv 2403.09192), its low schedule on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 8.78 GFLOPs, 27,834 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/vitb_pyra_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_pyra_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
