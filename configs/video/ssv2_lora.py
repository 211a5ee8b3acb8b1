"""LoRA (arXiv 2106.09685), rank 32 on q and v: ViT-B/16 IN-21k on 8 frames, Something-Something V2.

Expected: 45.62 % by the paper (Table I), not measured here; 144.39 GFLOPs, 1.18 M trainable without head
(paper: 142.53, 1.19 M).
Run: python tools/train.py configs/video/ssv2_lora.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/adamw_ssv2.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.LoRA', rank=32, alpha=32, targets=('q', 'v'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
