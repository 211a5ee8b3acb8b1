"""SynQT (arXiv 2407.06964), synthesised queries in every block: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 70.15 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.89 GFLOPs,
2.65 M trainable in the backbone (paper: 17.20, 2.73 M, a mean over tasks).
Run: python tools/train.py configs/vtab/vitb_synqt.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'SynQT'  # mmsparse/config/vtab_settings.py
_synqt = dict(type='mmsparse.SynQT', queries=4, feature_scale=0.1, attention_scale=1.0, ffn_scale=0.1)
model = dict(
    backbone=dict(adapter=dict(**_synqt, dropout=0.1, drop_path=0.3)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
