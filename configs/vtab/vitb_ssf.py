"""SSF (arXiv 2210.08823), scale and shift behind every operator: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 73.10 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.58 GFLOPs,
0.21 M trainable in the backbone (paper: 17.58, 0.20 M).
Run: python tools/train.py configs/vtab/vitb_ssf.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'SSF'  # mmsparse/config/vtab_settings.py
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.SSF')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=5e-3, weight_decay=5e-5), paramwise_cfg=dict(flat_decay_mult=0.0))
