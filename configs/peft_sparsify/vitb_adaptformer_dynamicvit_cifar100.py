"""Sparse-Tuning, Table IV: AdaptFormer of width 64 under DynamicViT at .9, .7, .5.

Expected: 73.48 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 14.23 GFLOPs,
4.07 M trainable in the backbone (paper: 14.32, 3.1 M).
Run: python tools/train.py configs/peft_sparsify/vitb_adaptformer_dynamicvit_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.AdaptFormer', bottleneck=64),
        sparsifier=dict(type='mmsparse.DynamicViT', layers=(4, 7, 10), keep_rates=(0.9, 0.7, 0.5)),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
