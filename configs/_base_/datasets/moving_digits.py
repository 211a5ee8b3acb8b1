"""One of scikit-learn's digits, moving left or right over 8 frames of 16 px: 400 clips to train and 400 to test, half of them the others backwards; no download."""

data_preprocessor = dict(type='mmsparse.VideoDataPreprocessor', num_classes=2, mean=[127.5] * 3, std=[127.5] * 3)
train_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleSegments', frames=8),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='mmsparse.PackVideo'),
]
test_pipeline = train_pipeline
train_dataloader = dict(
    batch_size=20,
    num_workers=0,
    dataset=dict(type='mmsparse.MovingDigits', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=40,
    num_workers=0,
    dataset=dict(type='mmsparse.MovingDigits', split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
