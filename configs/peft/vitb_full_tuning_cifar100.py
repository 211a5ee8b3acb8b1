"""Full tuning, the whole host: ViT-B/16 IN-21k, CIFAR-100.

Expected: 90.91 % by the paper (Table I), not measured here; 17.58 GFLOPs, 85.80 M trainable in the backbone
(paper: 17.58, 85.80 M).
Run: python tools/train.py configs/peft/vitb_full_tuning_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FullTuning')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=0.0001))
