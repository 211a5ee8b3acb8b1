"""No token leaves and nothing but the head is trained, the linear probe: the small host, scikit-learn's digits.

Expected: about 61 % top-1 (docs/demo.md), minutes on two CPU cores; 0.17 GFLOPs.
Run: python tools/train.py configs/sparsify/tiny_noop_frozen_digits.py
"""

_base_ = ['tiny_noop_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
