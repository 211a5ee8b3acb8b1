"""Kinetics-400 as DyT reads it: 8 frames, every 16th, at 224 px; three clips of a video in testing.

In data/k400: train.csv and val.csv (the official CSV of Kinetics, or lines of 'path label'), and the videos in train and val, {id}_{start:06d}_{end:06d}.mp4
there or in folders of their classes. Where some are known to be lost: --cfg-options train_dataloader.dataset.max_bad=0.05 (and val_, test_dataloader).
"""

data_preprocessor = dict(type='mmsparse.VideoDataPreprocessor', num_classes=400, mean=[127.5] * 3, std=[127.5] * 3)
train_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleDense', frames=8, stride=16, random=True),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='mmsparse.ResizeShortSide', size=224, ratio_range=(1.0, 1.15)),
    dict(type='torchvision/RandomCrop', size=224),
    dict(type='torchvision/RandomHorizontalFlip'),
    dict(type='mmsparse.PackVideo'),
]
test_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleDense', frames=8, stride=16, clips=3),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='mmsparse.ResizeShortSide', size=224),
    dict(type='mmsparse.ViewCrops', size=224),
    dict(type='mmsparse.PackVideo'),
]
_common = dict(type='mmsparse.VideoList', data_root='data/k400')
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(_common, ann_file='train.csv', data_prefix='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(_common, ann_file='val.csv', data_prefix='val', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
