"""AdaptiveKeep under the Dense Adapter: the small host, scikit-learn's digits.

Expected: see docs/adaptive_keep.md, minutes on two CPU cores; 0.12 GFLOPs in the mean, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_adaptive_keep_dense_adapter_digits.py
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
        sparsifier=dict(type='mmsparse.AdaptiveKeep', layers=(4, 7, 10), keep_rate=0.7),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
custom_hooks = [dict(type='mmsparse.CalibrationHook')]
