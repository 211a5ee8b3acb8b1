"""EViT (arXiv 2202.07800) at keep rate .5 under the Dense Adapter: the small host, scikit-learn's digits.

Expected: docs/adaptive_keep.md, beside tiny_adaptive_keep_50_digits.py, minutes on two CPU cores.
Run: python tools/train.py configs/sparsify/tiny_evit_50_digits.py
"""

_base_ = ['tiny_evit_dense_adapter_digits.py']
model = dict(backbone=dict(sparsifier=dict(keep_rate=0.5)))
