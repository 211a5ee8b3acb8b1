"""AdaptFormer of width 32 under EViT, 70 % of the patches: the small host, scikit-learn's digits.

Expected: 86.6 % top-1 (five seeds, docs/claim.md), minutes on two CPU cores; 0.117 GFLOPs,
0.10 M trainable in the backbone.
Run: python tools/train.py configs/peft_sparsify/tiny_adaptformer_evit_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.AdaptFormer', bottleneck=32),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7, fuse='merge', normalize=True),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
