"""Res-Tuning (arXiv 2310.19859), 10 each of prefix, prompts and adapter: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 74.09 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.83 GFLOPs,
0.47 M trainable in the backbone (paper: 17.67, 0.51 M).
Run: python tools/train.py configs/vtab/vitb_res_tuning.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ResTuning', length=10, bottleneck=10)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
