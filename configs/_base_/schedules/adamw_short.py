"""AdamW for small data: 10 epochs of batch 50, the first tenth of warm-up, then cosine; bfloat16."""

_base_ = ['adamw_100e.py']
optim_wrapper = dict(optimizer=dict(lr=3e-3))
auto_scale_lr = dict(base_batch_size=50)
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=0.1, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.1, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(max_epochs=10, val_interval=5)
