"""VPT-Shallow (arXiv 2203.12119), 50 prompts before the first block: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 22.24 GFLOPs, 38,400 trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_vpt_shallow_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.VPT', num_prompts=50, deep=False)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
