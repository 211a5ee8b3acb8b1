"""Full tuning, the whole host: ViT-L/16 IN-21k, CIFAR-100 (paper, Table XIII).

Expected: 92.05 % by the paper, not measured here; 61.60 GFLOPs, 303.30 M trainable in the backbone (paper: 61.60, 303.3 M).
128 images keep 2.4 GiB for the backward pass, 35.9 without with_cp (float32; docs/adapters.md has the command).
Run: python tools/train.py configs/peft/vitl_full_tuning_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitl_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FullTuning'), with_cp=True),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=0.0001))
