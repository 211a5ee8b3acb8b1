"""DynamicViT (arXiv 2106.02034) on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 11.49 GFLOPs, 2.89 M trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/vitb_dynamicvit_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_dynamicvit_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
