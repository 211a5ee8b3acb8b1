"""DyT (arXiv 2403.11808), dispatcher and adapter of width 64: ViT-B/16 IN-21k on 8 frames, Kinetics-400.

Expected: 74.39 % by the paper (Table I), not measured here; 99.98 GFLOPs at exactly the rate .5, 1.20 M trainable without head
(paper: 108.31, 1.19 M).
Run: python tools/train.py configs/video/k400_dyt.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/k400.py',
    '../_base_/schedules/adamw_k400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=64),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
