"""No token leaves: the Dense Adapter by itself, to compare every reduction with: the small host, scikit-learn's digits.

Expected: 92.7 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.18 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_noop_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32), sparsifier=dict(type='mmsparse.NoOp')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
