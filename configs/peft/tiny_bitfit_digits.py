"""BitFit (arXiv 2106.10199), every bias: the small host, scikit-learn's digits.

Expected: 82.4 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.168 GFLOPs,
17,152 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_bitfit_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.BitFit')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
