"""VPT-Shallow (arXiv 2203.12119), 8 prompts before the first block: the small host, scikit-learn's digits.

Expected: 83.2 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.190 GFLOPs,
1,024 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_vpt_shallow_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.VPT', num_prompts=8, deep=False)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=0.03))
