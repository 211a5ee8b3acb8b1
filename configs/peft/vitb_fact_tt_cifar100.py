"""FacT (arXiv 2212.03145), tensor train of rank 16: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 18.11 GFLOPs (17.58 once merged), 61,440 trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_fact_tt_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FacTTT', rank=16, scale=1.0)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
