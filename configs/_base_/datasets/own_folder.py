"""One's own pictures, a folder of them for each class (--data); mmsparse/config/own_folder.py fills in what is open here.

That is the lists of pictures, the number of classes, the size of the images (32 px is the small host's), mean and std, and the batch size.
"""

own_folder = dict(data=None, hold_out=0.2, seed=0, nested=False)
data_preprocessor = dict(num_classes=2, to_rgb=True)
train_pipeline = [
    dict(type='mmsparse.LoadImage'),
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0), interpolation='bicubic', backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='mmsparse.LoadImage'),
    dict(type='ResizeEdge', scale=32, edge='short', interpolation='bicubic', backend='pillow'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    num_workers=2,
    dataset=dict(type='BaseDataset', ann_file='', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(type='BaseDataset', ann_file='', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
