"""DyT (arXiv 2403.11808), dispatcher at .7 and adapter of width 64: ViT-L/16 IN-21k, CIFAR-100 (paper, Table XIII).

Expected: 93.28 % by the paper, not measured here; 50.38 GFLOPs at exactly the rate .7, 3.20 M trainable in the backbone (paper: 51.11, 3.17 M).
Run: python tools/train.py configs/peft/vitl_dyt_70_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitl_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=64),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.7),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
