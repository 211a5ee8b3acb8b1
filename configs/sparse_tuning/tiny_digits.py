"""Sparse-Tuning end to end and offline: scikit-learn's digits on a 12-layer ViT of 2.4 M parameters with random frozen weights.

Not a figure of the paper. Expected: clearly above chance (10 %), minutes on two CPU cores.
Run: python tools/train.py configs/sparse_tuning/tiny_digits.py
"""

_base_ = [
    '../_base_/models/vitb_sparse_tuning.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
host = dict(name='vit_tiny_patch16_224', checkpoint=False, img_size=32, patch_size=4, embed_dim=128, depth=12, num_heads=4)
model = dict(backbone=dict(host=host), head=dict(num_classes=10, in_channels=128))
epochs, warmup = 30, 3
optim_wrapper = dict(optimizer=dict(lr=5e-3))
auto_scale_lr = dict(base_batch_size=50)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=warmup, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warmup, T_max=epochs - warmup, eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=5)
default_hooks = dict(logger=dict(interval=20))
