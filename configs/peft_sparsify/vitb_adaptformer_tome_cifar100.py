"""Sparse-Tuning, Table IV: AdaptFormer of width 64 under ToMe, 8 pairs per layer.

Expected: 72.32 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 13.29 GFLOPs,
1.19 M trainable in the backbone (paper: 13.59, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_adaptformer_tome_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.AdaptFormer', bottleneck=64), sparsifier=dict(type='mmsparse.ToMe', r=8)
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
