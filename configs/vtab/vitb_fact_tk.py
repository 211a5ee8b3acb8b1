"""FacT-TK (arXiv 2212.03145), rank 32: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: no figure in the paper, not measured here; 18.66 GFLOPs (17.58 once merged),
86,528 trainable in the backbone.
Run: python tools/train.py configs/vtab/vitb_fact_tk.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'FacT-TK'  # mmsparse/config/vtab_settings.py
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FacTTK', rank=32, scale=0.1)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
