"""Linear probe, the head alone: ViT-B/16 IN-21k, CIFAR-100.

Expected: 85.87 % by the paper (Table I), not measured here; 17.58 GFLOPs, 0 trainable in the backbone
(paper: 17.58, 0).
Run: python tools/train.py configs/peft/vitb_linear_probe_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LinearProbe')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
