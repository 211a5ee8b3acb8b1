"""Adapter (arXiv 1902.00751), two of width 64 per block, as published for text: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 18.05 GFLOPs, 2.38 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_adapter_two_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=64, places=('attn', 'mlp'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
