"""ConvPass (arXiv 2207.07039), width 8 beside both branches: the small host, scikit-learn's digits.

Expected: 95.0 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.172 GFLOPs, 66,432 trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_convpass_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ConvPass', bottleneck=8, scale=1.0, conv_init='xavier')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
