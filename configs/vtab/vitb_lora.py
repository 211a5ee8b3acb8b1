"""LoRA (arXiv 2106.09685), rank 8 on q and v: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 72.25 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.64 GFLOPs (17.58 once merged),
0.29 M trainable in the backbone (paper: 17.58, 0.29 M).
Run: python tools/train.py configs/vtab/vitb_lora.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LoRA', rank=8, alpha=8, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
