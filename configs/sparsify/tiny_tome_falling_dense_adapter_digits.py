"""ToMe (arXiv 2210.09461), 4 pairs per layer in the mean, from 8 falling to none, under the Dense Adapter: the small host, digits.

Expected: 92.8 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.09 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_tome_falling_dense_adapter_digits.py
"""

_base_ = ['tiny_tome_dense_adapter_digits.py']
model = dict(backbone=dict(sparsifier=dict(inflect=-1)))
