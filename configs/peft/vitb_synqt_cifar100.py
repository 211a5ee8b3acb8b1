"""SynQT (arXiv 2407.06964), 4 synthesised queries in every block: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.89 GFLOPs, 2.65 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_synqt_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
_synqt = dict(type='mmsparse.SynQT', queries=4, feature_scale=0.1, attention_scale=1.0, ffn_scale=0.1)
model = dict(
    backbone=dict(adapter=dict(**_synqt, dropout=0.1, drop_path=0.3)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
