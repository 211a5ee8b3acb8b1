"""Adapter (arXiv 1902.00751), one of width 8 per block: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 71.44 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.61 GFLOPs,
0.16 M trainable in the backbone (paper: 17.61, 0.16 M).
Run: python tools/train.py configs/vtab/vitb_adapter.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=8)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
