"""DynamicViT (arXiv 2106.02034) on a frozen host: the small host, scikit-learn's digits.

Expected: 79.9 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.11 GFLOPs, 81,510 trainable in the sparsifier.
Run: python tools/train.py configs/sparsify/tiny_dynamicvit_frozen_digits.py
"""

_base_ = ['tiny_dynamicvit_dense_adapter_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
