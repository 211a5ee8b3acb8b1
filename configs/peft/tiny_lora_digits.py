"""LoRA (arXiv 2106.09685), rank 8 on q and v: the small host, scikit-learn's digits.

Expected: 92.2 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.171 GFLOPs (0.168 once merged),
49,152 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_lora_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LoRA', rank=8, alpha=8, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
