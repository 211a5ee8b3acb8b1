"""ConvPass (arXiv 2207.07039), width 8 beside both branches: ViT-B/16 IN-21k, one task of VTAB-1K.

Expected: 74.45 % by the paper (Table II), the mean over 19 tasks, not measured here; 17.64 GFLOPs,
0.33 M trainable in the backbone (paper: 17.64, 0.33 M).
Run: python tools/train.py configs/vtab/vitb_convpass.py --cfg-options task=svhn
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/vtab.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
per_task = 'ConvPass'  # mmsparse/config/vtab_settings.py
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.ConvPass', bottleneck=8, scale=0.1, places=('attn', 'mlp'), conv_init='identity')
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
