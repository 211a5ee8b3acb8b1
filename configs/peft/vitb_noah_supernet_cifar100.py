"""NOAH's super-network (arXiv 2206.04673), every step another sub-network: ViT-B/16 IN-21k, 40,000 images of CIFAR-100, 10,000 are held out.

Expected: not measured here; 18.62 GFLOPs with all of it, 0.65 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_noah_supernet_cifar100.py, then vitb_noah_search_cifar100.py and vitb_noah_cifar100.py
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.NOAH', sizes=(1, 5, 10))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
train_dataloader = dict(batch_size=64, dataset=dict(indices=40000))
val_dataloader = dict(dataset=dict(split='train', test_mode=False, indices=-10000))
custom_hooks = [dict(type='mmsparse.RandomSubnetHook')]
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=0.02, start_factor=1e-6, by_epoch=False),  # 10 epochs
    dict(type='mmsparse.CosineLR', after=0.02, eta_min=1e-5, by_epoch=False),
]
train_cfg = dict(max_epochs=500)
