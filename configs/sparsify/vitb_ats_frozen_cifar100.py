"""ATS (arXiv 2111.15667) on a frozen host: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 11.50 GFLOPs at most, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/vitb_ats_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_ats_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
