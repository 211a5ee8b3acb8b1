"""VPT-Deep (arXiv 2203.12119), 8 prompts in every block: ViT-B/16 IN-21k, CIFAR-100.

Expected: 91.64 % by the paper (Table I), not measured here; 18.32 GFLOPs, 73,728 trainable in the backbone
(paper: 18.32, 0.07 M).
Run: python tools/train.py configs/peft/vitb_vpt_deep_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.VPT', num_prompts=8)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
