"""Something-Something V2 as DyT reads it: one frame of each of 8 equal parts, at 224 px; three crops of a clip in testing, no mirroring in training.

In data/ssv2: the official train.json, validation.json and labels.json, and the videos in videos/{id}.webm; or lists with lines of 'path label'.
"""

data_preprocessor = dict(type='mmsparse.VideoDataPreprocessor', num_classes=174, mean=[127.5] * 3, std=[127.5] * 3)
train_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleSegments', frames=8, random=True),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='torchvision/RandomResizedCrop', size=224, scale=(0.08, 1.0)),
    dict(type='mmsparse.RandAugmentClip', policy='rand-m7-n4-mstd0.5-inc1'),
    dict(type='mmsparse.PackVideo'),
]
test_pipeline = [
    dict(type='mmsparse.OpenVideo'),
    dict(type='mmsparse.SampleSegments', frames=8),
    dict(type='mmsparse.DecodeFrames'),
    dict(type='mmsparse.ResizeShortSide', size=224),
    dict(type='mmsparse.ViewCrops', size=224, crops=3),
    dict(type='mmsparse.PackVideo'),
]
_common = dict(type='mmsparse.VideoList', data_root='data/ssv2', data_prefix='videos', labels='labels.json')
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(_common, ann_file='train.json', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(_common, ann_file='validation.json', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
