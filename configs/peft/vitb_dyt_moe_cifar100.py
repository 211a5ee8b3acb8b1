"""DyT (arXiv 2403.11808), dispatcher and 4 experts of width 64: ViT-B/16 IN-21k, CIFAR-100.

Expected: 91.01 % by the paper (Table I), not measured here; 12.27 GFLOPs at exactly the rate .5, 4.80 M trainable in the backbone
(paper: 12.29, 4.80 M).
Run: python tools/train.py configs/peft/vitb_dyt_moe_cifar100.py --auto-scale-lr
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
        adapter=dict(type='mmsparse.DyTMoEAdapter', bottleneck=64, experts=4),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
