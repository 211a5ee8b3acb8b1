"""DyT (arXiv 2403.11808), dispatcher and 4 experts of width 64: ViT-B/16 IN-21k on 8 frames, Something-Something V2.

Expected: 46.56 % by the paper (Table I), not measured here; 99.98 GFLOPs at exactly the rate .5, 4.80 M trainable without head
(paper: 105.45, 4.80 M).
Run: python tools/train.py configs/video/ssv2_dyt_moe.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/adamw_ssv2.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DyTMoEAdapter', bottleneck=64, experts=4),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
