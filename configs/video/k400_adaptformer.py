"""AdaptFormer (arXiv 2205.13535), width 64: ViT-B/16 IN-21k on 8 frames, Kinetics-400.

Expected: 75.53 % by the paper (Table I), not measured here; 144.39 GFLOPs, 1.19 M trainable without head
(paper: 144.39, 1.19 M).
Run: python tools/train.py configs/video/k400_adaptformer.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/k400.py',
    '../_base_/schedules/adamw_k400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.AdaptFormer', bottleneck=64)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
