"""Res-Tuning (arXiv 2310.19859), prefix, prompts and adapter of 10 beside each block: the small host, digits.

Expected: 93.1 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.178 GFLOPs, 78,456 trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_res_tuning_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ResTuning', length=10, bottleneck=10)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
