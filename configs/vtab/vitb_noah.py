"""NOAH (arXiv 2206.04673), the sub-network that its authors found for the task: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 73.25 % by the paper (Table II), the mean over 19 tasks, not measured here; 18.17 GFLOPs,
0.32 M trainable in the backbone (paper: 17.58, 0.36 M, a mean over tasks).
Run: python tools/train.py configs/vtab/vitb_noah.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'NOAH'  # mmsparse/config/vtab_settings.py
subnet = dict(
    prompts=[10, 5, 10, 1, 5, 1, 10, 1, 10, 5, 1, 10],
    lora=[10, 1, 5, 5, 1, 10, 1, 1, 1, 10, 1, 1],
    adapter=[5, 10, 10, 10, 5, 1, 1, 1, 10, 10, 10, 1],
)
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.NOAH', sizes=(1, 5, 10), subnet=subnet)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
