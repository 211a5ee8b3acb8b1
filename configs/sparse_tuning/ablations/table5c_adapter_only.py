"""Sparse-Tuning, Table V c: Dense Adapter without sparsification (CIFAR-100).

Expected: 92.66 % top-1 by the paper, not measured here; 17.80 GFLOPs, 1.09 M trainable in the backbone (paper: 17.89, 1.10).
Run: python tools/train.py configs/sparse_tuning/ablations/table5c_adapter_only.py --auto-scale-lr
"""

_base_ = [
    '../../_base_/models/vitb_in21k.py',
    '../../_base_/datasets/cifar100.py',
    '../../_base_/schedules/adamw_100e.py',
    '../../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
