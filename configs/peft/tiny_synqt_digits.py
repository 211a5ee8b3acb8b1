"""SynQT (arXiv 2407.06964), 4 synthesised queries in every block: the small host, scikit-learn's digits.

Expected: 72.8 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.179 GFLOPs, 0.44 M trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_synqt_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
_synqt = dict(type='mmsparse.SynQT', queries=4, feature_scale=0.1, attention_scale=1.0, ffn_scale=0.1)
model = dict(
    backbone=dict(adapter=dict(**_synqt, dropout=0.1, drop_path=0.3)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
