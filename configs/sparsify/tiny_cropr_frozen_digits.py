"""Cropr (arXiv 2412.00965), 5 patches out per block, on a frozen host: the small host, scikit-learn's digits.

Expected: not measured here, minutes on two CPU cores; 0.10 GFLOPs,
1.34 M trainable in the sparsifier, nearly all of it in auxiliary heads, which evaluation leaves out.
Run: python tools/train.py configs/sparsify/tiny_cropr_frozen_digits.py
"""

_base_ = ['tiny_cropr_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
