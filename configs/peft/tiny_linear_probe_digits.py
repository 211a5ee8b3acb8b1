"""Linear probe, the head alone: the small host, scikit-learn's digits.

Expected: 77.1 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.168 GFLOPs,
0 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_linear_probe_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LinearProbe')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=0.03))
