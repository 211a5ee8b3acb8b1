"""DoRA (arXiv 2402.09353), rank 8 on q and v: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.75 GFLOPs (17.58 once merged), 0.31 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_dora_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.DoRA', rank=8, alpha=8, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
