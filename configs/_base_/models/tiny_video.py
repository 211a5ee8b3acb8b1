"""The small host that ships with the project on clips of 8 frames: 12 layers, width 128, 32 px in patches of 4."""

_base_ = ['tiny_shipped.py']
model = dict(
    type='mmsparse.VideoClassifier',
    frames=8,
    backbone=dict(out_type='tokens'),
    neck=dict(type='mmsparse.AttentivePooling', in_channels=128, num_heads=4),
)
