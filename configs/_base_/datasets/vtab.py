"""One task of VTAB-1K at 224 px, without augmentation; another one by --cfg-options task=svhn (mmsparse/datasets/vtab/tasks.py)."""

task = 'cifar'
data_preprocessor = dict(num_classes=100, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_pipeline = [
    dict(type='mmsparse.LoadImage'),
    dict(type='Resize', scale=224, interpolation='bicubic', backend='pillow'),
    dict(type='PackInputs'),
]
test_pipeline = train_pipeline
_task = dict(type='mmsparse.VTAB', task='cifar', data_root='data/vtab-1k')
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    dataset=dict(_task, split='train800val200', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(_task, split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
