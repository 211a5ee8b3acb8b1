"""DynamicViT (arXiv 2106.02034) under the Dense Adapter: the small host, scikit-learn's digits.

Expected: 90.3 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.11 GFLOPs, 0.26 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_dynamicvit_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.DynamicViT', layers=(4, 7, 10), keep_rates=(0.7, 0.49, 0.343)),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
