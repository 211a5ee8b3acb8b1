"""Full tuning, the whole host: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 68.96 % by the paper (Table II), a mean of three group means, not measured here; 17.58 GFLOPs,
85.80 M trainable in the backbone (paper: 17.58, 85.84 M).
Run: python tools/train.py configs/vtab/vitb_full_tuning.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FullTuning')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
