"""No token leaves: the Dense Adapter by itself, to compare every reduction with: the small host, scikit-learn's digits.

Expected: 92.7 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.18 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_noop_dense_adapter_digits.py
"""

_base_ = ['tiny_random_dense_adapter_digits.py']
model = dict(backbone=dict(sparsifier=dict(_delete_=True, type='mmsparse.NoOp')))
