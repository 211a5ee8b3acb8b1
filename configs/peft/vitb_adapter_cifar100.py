"""Adapter (arXiv 1902.00751), one of width 64 per block: ViT-B/16 IN-21k, CIFAR-100.

Expected: 91.76 % by the paper (Table I), not measured here; 17.81 GFLOPs, 1.19 M trainable in the backbone
(paper: 17.81, 1.19 M).
Run: python tools/train.py configs/peft/vitb_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=64)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
