"""BitFit (arXiv 2106.10199), every bias: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 62.05 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.58 GFLOPs,
0.10 M trainable in the backbone (paper: 17.58, 0.10 M).
Run: python tools/train.py configs/vtab/vitb_bitfit.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.BitFit')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
