"""AdamW for small data: 10 epochs of batch 50, one of them warm-up, then cosine; bfloat16."""

_base_ = ['adamw_100e.py']
epochs, warmup = 10, 1
optim_wrapper = dict(optimizer=dict(lr=3e-3))
auto_scale_lr = dict(base_batch_size=50)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=warmup, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warmup, T_max=epochs - warmup, eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=5)
