"""NOAH's super-network (arXiv 2206.04673), every step another sub-network: the small host, 800 of scikit-learn's digits, 200 are held out.

Expected: not measured here; 0.203 GFLOPs with all of it, 0.11 M trainable in the backbone.
Run: python tools/train.py configs/peft/tiny_noah_supernet.py, then tiny_noah_search.py and tiny_noah_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.NOAH', sizes=(1, 5, 10))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
train_dataloader = dict(dataset=dict(indices=800))
val_dataloader = dict(dataset=dict(split='train', indices=-200))
custom_hooks = [dict(type='mmsparse.RandomSubnetHook')]
train_cfg = dict(max_epochs=30, val_interval=10)
