"""Full tuning, the whole host: ViT-B/16 IN-21k on 8 frames, Something-Something V2.

Expected: 45.22 % by the paper (Table I prints 75.22, its average says 45.22), not measured here; 142.53 GFLOPs, 85.80 M trainable without head
(paper: 142.53, 85.80 M).
Run: python tools/train.py configs/video/ssv2_full_tuning.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/adamw_ssv2.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.FullTuning')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
optim_wrapper = dict(optimizer=dict(lr=0.0001))
