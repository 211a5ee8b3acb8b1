"""EViT (arXiv 2202.07800) under the Dense Adapter: the small host, scikit-learn's digits.

Expected: 93.7 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.12 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_evit_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
