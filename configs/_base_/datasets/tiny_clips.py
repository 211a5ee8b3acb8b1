"""Four real clips that ship with the package, cut in time into 48 segments to train and 24 later ones to test; 8 frames of 32 px, no download."""

data_preprocessor = dict(type='mmsparse.VideoDataPreprocessor', num_classes=4, mean=[127.5] * 3, std=[127.5] * 3)
train_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleSegments', frames=8, random=True),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='torchvision/RandomResizedCrop', size=32, scale=(0.25, 1.0)),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='mmsparse.PackVideo'),
]
test_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleSegments', frames=8),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='mmsparse.ResizeShortSide', size=32),
    dict(type='mmsparse.ViewCrops', size=32),
    dict(type='mmsparse.PackVideo'),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    dataset=dict(type='mmsparse.TinyClips', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=24,
    num_workers=0,
    dataset=dict(type='mmsparse.TinyClips', split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
