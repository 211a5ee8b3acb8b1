"""Res-Tuning-Bypass (arXiv 2310.19859), two tuners of width 32 beside each block: the small host, scikit-learn's digits.

Expected: 83.0 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.181 GFLOPs, 0.20 M trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_res_tuning_bypass_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ResTuningBypass', bottleneck=32)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
