"""EViT by representation shift (arXiv 2508.00367) instead of attention, under the Dense Adapter: the small host, digits.

Expected: 88.2 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.12 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_evit_shift_dense_adapter_digits.py
"""

_base_ = ['tiny_evit_dense_adapter_digits.py']
model = dict(backbone=dict(sparsifier=dict(score='shift')))
