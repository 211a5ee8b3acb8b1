"""No token leaves: the Dense Adapter by itself, to compare every reduction with (Sparse-Tuning, Table V c): ViT-B/16 IN-21k, CIFAR-100.

Expected: 92.66 % top-1 by the paper, not measured here; 17.80 GFLOPs, 1.09 M trainable in the backbone (paper: 17.89, 1.10).
Run: python tools/train.py configs/sparsify/vitb_noop_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32), sparsifier=dict(type='mmsparse.NoOp')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
