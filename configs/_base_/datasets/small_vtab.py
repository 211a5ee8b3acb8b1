"""One task of small VTAB at 32 px, without augmentation; another one by --cfg-options task=quadrant (mmsparse/datasets/small_vtab/tasks.py)."""

task = 'ten_kinds'
data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
train_pipeline = [dict(type='Resize', scale=32, interpolation='bicubic', backend='pillow'), dict(type='PackInputs')]
test_pipeline = train_pipeline
train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    dataset=dict(type='mmsparse.SmallVTAB', task='ten_kinds', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(type='mmsparse.SmallVTAB', task='ten_kinds', split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator
