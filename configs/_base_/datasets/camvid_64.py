"""CamVid (data/camvid, see mmsparse.CamVid) at a third of its size, 160 × 120: crops of 64 px to train, windows of 64 px every 48 to validate.

Scores are taken at the size of the label maps, 480 × 360.
"""

_scale, _crop = (160, 120), (64, 64)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=_scale, ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_crop, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
_resize = dict(type='Resize', scale=_scale, keep_ratio=True)
test_pipeline = [dict(type='LoadImageFromFile'), _resize, dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    dataset=dict(type='mmsparse.CamVid', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    drop_last=True,
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(type='mmsparse.CamVid', split='val', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
tta_model = dict(type='SegTTAModel')
_flips = [
    dict(type='RandomFlip', prob=0.0, direction='horizontal'),
    dict(type='RandomFlip', prob=1.0, direction='horizontal'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[[_resize], _flips, [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]],
    ),
]
