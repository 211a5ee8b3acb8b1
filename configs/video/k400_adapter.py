"""Adapter (arXiv 1902.00751), one of width 64 per block: ViT-B/16 IN-21k on 8 frames, Kinetics-400.

Expected: 74.72 % by the paper (Table I), not measured here; 144.39 GFLOPs, 1.19 M trainable without head
(paper: 144.39, 1.19 M).
Run: python tools/train.py configs/video/k400_adapter.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/k400.py',
    '../_base_/schedules/adamw_k400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.Adapter', bottleneck=64)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
