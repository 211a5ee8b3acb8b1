"""Adapter (arXiv 1902.00751), one of width 32 per block: the small host, scikit-learn's digits.

Expected: 90.0 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.174 GFLOPs,
0.10 M trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=32)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
