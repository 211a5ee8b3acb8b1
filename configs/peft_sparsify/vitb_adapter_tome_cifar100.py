"""Sparse-Tuning, Table IV: Adapter of width 8 under ToMe, 16 pairs per layer.

Expected: 73.13 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 8.80 GFLOPs,
0.16 M trainable in the backbone (paper: 8.52, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_adapter_tome_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=8), sparsifier=dict(type='mmsparse.ToMe', r=16)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
