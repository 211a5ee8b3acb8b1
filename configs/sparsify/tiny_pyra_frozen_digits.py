"""PYRA (arXiv 2403.09192), 4 pairs per layer on a frozen host: the small host, scikit-learn's digits.

Expected: 75.7 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.10 GFLOPs, 4,656 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/tiny_pyra_frozen_digits.py
"""

_base_ = ['tiny_pyra_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
