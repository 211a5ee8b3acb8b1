"""DyT (arXiv 2403.11808), dispatcher at .9 and adapter of width 8, scale 1: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 75.11 % by the paper (Table II), the mean over 19 tasks, not measured here; 16.50 GFLOPs at exactly the rate .9,
0.17 M trainable in the backbone (paper: 17.07, 0.16 M).
Run: python tools/train.py configs/vtab/vitb_dyt_90.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=8, scale=1.0),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.9),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
