"""BitFit (arXiv 2106.10199), every bias: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.58 GFLOPs, 0.10 M trainable in the backbone
(paper: 17.58, 0.10 M).
Run: python tools/train.py configs/peft/vitb_bitfit_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.BitFit')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
