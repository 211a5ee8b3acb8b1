"""RepAdapter (arXiv 2302.08106), width 8 in 2 groups: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.63 GFLOPs (17.58 once merged), 239,808 trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_rep_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.RepAdapter', bottleneck=8, groups=2, scale=1.0)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
