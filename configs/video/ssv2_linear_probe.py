"""Linear probe, the head alone: ViT-B/16 IN-21k on 8 frames, Something-Something V2.

Expected: 27.64 % by the paper (Table I), not measured here; 142.53 GFLOPs, 0 trainable without head
(paper: 142.53, 0).
Run: python tools/train.py configs/video/ssv2_linear_probe.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/adamw_ssv2.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LinearProbe')),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
