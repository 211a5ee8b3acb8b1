"""ViT-B/16 with IN-21k weights on clips of 8 frames: one query asks the tokens of all frames, and a linear classifier reads its answer (DyT's video model). 400 classes, those of Kinetics."""

_base_ = ['vitb_in21k.py']
model = dict(
    type='mmsparse.VideoClassifier',
    frames=8,
    backbone=dict(out_type='tokens'),
    neck=dict(type='mmsparse.AttentivePooling', in_channels=768, num_heads=12),
    head=dict(num_classes=400),
)
