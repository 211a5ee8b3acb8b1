"""PiToMe (arXiv 2405.16148), keeping .95 per layer on a frozen host: the small host, scikit-learn's digits.

Expected: not measured here, minutes on two CPU cores; 0.13 GFLOPs, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/tiny_pitome_frozen_digits.py
"""

_base_ = ['tiny_pitome_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
