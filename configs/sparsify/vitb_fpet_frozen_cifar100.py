"""FPET (arXiv 2503.20282), one trained merge, on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 13.43 GFLOPs, 4,096 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/vitb_fpet_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_fpet_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
