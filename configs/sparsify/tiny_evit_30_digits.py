"""EViT (arXiv 2202.07800) at keep rate .3 under the Dense Adapter: the small host, scikit-learn's digits.

Expected: docs/adaptive_keep.md, beside tiny_adaptive_keep_30_digits.py, minutes on two CPU cores.
Run: python tools/train.py configs/sparsify/tiny_evit_30_digits.py
"""

_base_ = ['tiny_evit_dense_adapter_digits.py']
model = dict(backbone=dict(sparsifier=dict(keep_rate=0.3)))
