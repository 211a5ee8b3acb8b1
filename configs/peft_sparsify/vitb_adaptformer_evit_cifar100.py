"""Sparse-Tuning, Table IV: AdaptFormer of width 64 under EViT, 70 % of the patches.

Expected: 72.30 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 11.77 GFLOPs,
1.19 M trainable in the backbone (paper: 11.77, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_adaptformer_evit_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.AdaptFormer', bottleneck=64),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7, fuse='merge', normalize=True),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
