"""ToMe (arXiv 2210.09461), 4 pairs per layer on a frozen host: the small host, scikit-learn's digits.

Expected: 75.4 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.10 GFLOPs, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/tiny_tome_frozen_digits.py
"""

_base_ = ['tiny_tome_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
