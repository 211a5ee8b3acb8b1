"""Sparse-Tuning, Table IV: DyT, dispatcher at .5 and adapter of width 8, scale 1.

Expected: 74.94 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 12.06 GFLOPs at exactly the rate .5,
0.17 M trainable in the backbone (paper: 12.54, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_dyt_8_cifar100.py --auto-scale-lr
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
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=8, scale=1.0),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
