"""PYRA (arXiv 2403.09192), its low schedule with its LoRA of rank 8: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 72.43 % by the paper (Table II), the mean over 19 tasks, not measured here; 8.82 GFLOPs,
0.32 M trainable in the backbone (paper: 16.37, 0.30 M).
Run: python tools/train.py configs/vtab/vitb_pyra.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.LoRA', rank=8, dropout=0.1),
        sparsifier=dict(type='mmsparse.PYRA', r=[16] * 11 + [10]),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
