"""FacT-TT (arXiv 2212.03145), rank 8: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 73.04 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.85 GFLOPs (17.58 once merged),
21,504 trainable in the backbone (paper: 17.58, 0.04 M, a mean over tasks).
Run: python tools/train.py configs/vtab/vitb_fact_tt.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'FacT-TT'  # mmsparse/config/vtab_settings.py
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FacTTT', rank=8, scale=1.0)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
