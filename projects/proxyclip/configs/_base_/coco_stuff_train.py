"""Adapters trained on COCO-Stuff 164k: our reading of a setting that Sparse-Tuning does not describe.

Crops of the window's size, cross-entropy on the scaled cosines, 40,000 steps of 16.
"""

_base_ = ['coco_stuff.py']
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    collate_fn=dict(type='pseudo_collate'),
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='COCOStuffDataset',
        data_root='data/coco_stuff164k',
        data_prefix=dict(img_path='images/train2017', seg_map_path='annotations/train2017'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=(2048, 336), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(336, 336), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
    ),
)
val_dataloader = _base_.test_dataloader
val_evaluator = _base_.test_evaluator
val_cfg = dict()
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=5000)
optim_wrapper = dict(
    type='mmsparse.AutocastOptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=1500 / 40000, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.PolyLR', after=1500 / 40000, eta_min=0.0, power=0.9, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000, save_best='mIoU'))
