"""Adapter+ (arXiv 2406.06820), one of width 32 behind each block: the small host, scikit-learn's digits.

Expected: 93.1 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.174 GFLOPs, 0.10 M trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_adapter_plus_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.AdapterPlus', bottleneck=32, drop_path=0.1)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
