"""The small host under a Dense Adapter, grid restored by gather, FCN head."""

_base_ = ['tiny_segmentor.py']
model = dict(
    neck=dict(type='mmsparse.Restore', mode='gather'),
    decode_head=dict(
        type='FCNHead',
        in_channels=128,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
)
