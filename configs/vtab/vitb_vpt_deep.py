"""VPT-Deep (arXiv 2203.12119), 8 prompts in every block: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 69.43 % by the paper (Table II), the mean over 19 tasks, not measured here; 18.32 GFLOPs,
73,728 trainable in the backbone (paper: 18.30, 0.53 M, which are 58 prompts).
Run: python tools/train.py configs/vtab/vitb_vpt_deep.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.VPT', num_prompts=8)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
