"""Res-Tuning-Bypass (arXiv 2310.19859), two tuners of width 10 beside each block: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.65 GFLOPs, 0.39 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_res_tuning_bypass_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ResTuningBypass', bottleneck=10)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
