"""Scikit-learn's handwritten digits, 8 px enlarged to 32: 1,000 to train, 797 to test, no download.

Digits are not mirrored: training shifts them, test-time augmentation adds a second size.
"""

data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
_enlarge = dict(type='Resize', scale=32, interpolation='bicubic', backend='pillow')
train_pipeline = [_enlarge, dict(type='RandomCrop', crop_size=32, padding=3), dict(type='PackInputs')]
test_pipeline = [_enlarge, dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    dataset=dict(type='mmsparse.Digits', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(type='mmsparse.Digits', split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
tta_model = dict(type='AverageClsScoreTTA')
_sizes = [_enlarge, dict(_enlarge, scale=36)]
tta_pipeline = [
    dict(type='TestTimeAug', transforms=[_sizes, [dict(type='CenterCrop', crop_size=32)], [dict(type='PackInputs')]])
]
