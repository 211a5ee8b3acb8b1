"""Half of the tokens merge once, after the attention of block 6 (the setting of FPET, arXiv 2503.20282), on a frozen host.

Expected: not measured here; 12.69 GFLOPs, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/vitb_tome_once_frozen_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_tome_once_dense_adapter_cifar100.py']
model = dict(backbone=dict(adapter=None))
