"""DoRA (arXiv 2402.09353), rank 8 on q and v: the small host, scikit-learn's digits.

Expected: 91.8 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.174 GFLOPs (0.168 once merged),
52,224 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_dora_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.DoRA', rank=8, alpha=8, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
