"""ATS (arXiv 2111.15667) on a frozen host: the small host, scikit-learn's digits.

Expected: 74.5 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.11 GFLOPs at most, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/tiny_ats_frozen_digits.py
"""

_base_ = ['tiny_ats_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
