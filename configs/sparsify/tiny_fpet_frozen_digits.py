"""FPET (arXiv 2503.20282), one trained merge, on a frozen host: the small host, scikit-learn's digits.

Expected: not measured here, minutes on two CPU cores; 0.13 GFLOPs, 2,048 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/tiny_fpet_frozen_digits.py
"""

_base_ = ['tiny_fpet_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
