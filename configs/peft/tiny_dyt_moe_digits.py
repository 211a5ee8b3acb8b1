"""DyT (arXiv 2403.11808), dispatcher and 4 experts of width 32: the small host, scikit-learn's digits.

Expected: 90.3 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.124 GFLOPs at exactly the rate
.5, 0.41 M trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_dyt_moe_digits.py
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
        adapter=dict(type='mmsparse.DyTMoEAdapter', bottleneck=32, experts=4),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
