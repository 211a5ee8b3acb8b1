"""Cropr (arXiv 2412.00965), 5 patches out per block, under the Dense Adapter: the small host, scikit-learn's digits.

Expected: not measured here, minutes on two CPU cores; 0.11 GFLOPs,
1.52 M trainable in the backbone, nearly all of it in auxiliary heads, which evaluation leaves out.
Run: python tools/train.py configs/sparsify/tiny_cropr_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
classes = {{_base_.data_preprocessor.num_classes}}
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.Cropr', num_classes=classes, pruned=5),
    ),
    head=dict(num_classes=classes),
)
