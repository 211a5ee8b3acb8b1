"""Food-101 at 224 px, unpacked to data/food-101 (images/, meta/); a broken image stops the run and is named."""

data_preprocessor = dict(num_classes=101, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_pipeline = [
    dict(type='mmsparse.LoadImage'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.08, 1.0), interpolation='bicubic', backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmsparse.LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short', interpolation='bicubic', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
_common = dict(type='Food101', data_root='data/food-101')
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(_common, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(_common, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
tta_model = dict(type='AverageClsScoreTTA')
_flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
tta_pipeline = [
    dict(type='TestTimeAug', transforms=[*([step] for step in test_pipeline[:-1]), _flips, test_pipeline[-1:]])
]
