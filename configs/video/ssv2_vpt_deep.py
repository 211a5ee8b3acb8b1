"""VPT-Deep (arXiv 2203.12119), 8 prompts in every block: ViT-B/16 IN-21k on 8 frames, Something-Something V2.

Expected: 38.17 % by the paper (Table I), not measured here; 148.45 GFLOPs, 73,728 trainable without head
(paper: 148.44, 0.07 M).
Run: python tools/train.py configs/video/ssv2_vpt_deep.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_video.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/adamw_ssv2.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.VPT', num_prompts=8)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
