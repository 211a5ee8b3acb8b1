"""RepAdapter (arXiv 2302.08106), width 8 in 2 groups: the small host, scikit-learn's digits.

Expected: 92.2 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.170 GFLOPs (0.168 once merged),
40,128 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_rep_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.RepAdapter', bottleneck=8, groups=2, scale=1.0)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
