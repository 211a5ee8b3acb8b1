"""No token leaves and nothing but the head is trained, the linear probe: the small host, scikit-learn's digits.

Expected: 77.1 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.17 GFLOPs.
Run: python tools/train.py configs/sparsify/tiny_noop_frozen_digits.py
"""

_base_ = ['tiny_noop_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
