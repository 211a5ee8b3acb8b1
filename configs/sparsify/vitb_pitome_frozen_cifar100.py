"""PiToMe (arXiv 2405.16148), keeping .95 per layer on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 13.23 GFLOPs, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/vitb_pitome_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_pitome_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
