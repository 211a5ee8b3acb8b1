"""Sparse-Tuning, Table IV: Dense Adapter of width 8 with ToMe, 16 pairs per layer.

Expected: 75.66 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 8.81 GFLOPs,
0.28 M trainable in the backbone (paper: 8.61, 0.16; it does not print its keep rates, these are ours).
Run: python tools/train.py configs/sparse_tuning/ablations/table4_tome.py --auto-scale-lr
"""

_base_ = [
    '../../_base_/models/vitb_in21k.py',
    '../../_base_/datasets/cifar100.py',
    '../../_base_/schedules/adamw_100e.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=8), sparsifier=dict(type='mmsparse.ToMe', r=16)
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
