"""DyT's token dispatcher (arXiv 2403.11808) on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 12.03 GFLOPs at exactly the rate .5, 9,228 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/vitb_dyt_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_dyt_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
