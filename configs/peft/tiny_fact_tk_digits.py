"""FacT (arXiv 2212.03145), Tucker decomposition of rank 32: the small host, scikit-learn's digits.

Expected: 91.2 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.240 GFLOPs (0.168 once merged),
45,568 trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_fact_tk_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FacTTK', rank=32, scale=1.0)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
