"""LoRA (arXiv 2106.09685), rank 32 on q and v: ViT-B/16 IN-21k, CIFAR-100.

Expected: 91.42 % by the paper (Table I), not measured here; 17.81 GFLOPs (17.58 once merged), 1.18 M trainable in the backbone
(paper: 17.58, 1.19 M).
Run: python tools/train.py configs/peft/vitb_lora_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LoRA', rank=32, alpha=32, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
