"""CIFAR-10 as class folders of 32 px JPEGs, the seven classes of the pre-training (tools/dataset_converters/cifar10_folders.py)."""

classes = ['airplane', 'automobile', 'bird', 'dog', 'horse', 'ship', 'truck']
data_preprocessor = dict(num_classes=7, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=32, padding=4, padding_mode='reflect'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
_common = dict(type='CustomDataset', data_root='data/cifar10_jpeg', metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(_common, data_prefix='train', ann_file='meta/train_seen.txt', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(_common, data_prefix='test', ann_file='meta/test_seen.txt', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
