"""Cats, deer and frogs of CIFAR-10, 32 px, shipped with the package: 300 to train, 1,200 to test, no download."""

data_preprocessor = dict(num_classes=3, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# The first two change nothing here; they make any photograph fit.
test_pipeline = [
    dict(type='ResizeEdge', scale=32, edge='short', interpolation='bicubic', backend='pillow'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    dataset=dict(type='mmsparse.UnseenPhotos', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(type='mmsparse.UnseenPhotos', split='test', test_mode=True, pipeline=test_pipeline),
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
