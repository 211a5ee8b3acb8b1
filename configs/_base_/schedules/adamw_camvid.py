"""AdamW for CamVid: 6 epochs of 45 batches of 8, one of them warm-up, then cosine; bfloat16."""

_base_ = ['adamw_short.py']
epochs, warmup = 6, 1
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=warmup, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=warmup, T_max=epochs - warmup, eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
