"""SSF (arXiv 2210.08823), scale and shift behind every operator: the small host, scikit-learn's digits.

Expected: 88.5 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.168 GFLOPs,
34,304 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_ssf_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.SSF')), head=dict(num_classes={{_base_.data_preprocessor.num_classes}})
)
optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.0))
