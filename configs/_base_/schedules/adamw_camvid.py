"""AdamW for CamVid: 6 epochs of 45 batches of 8, the first sixth of warm-up, then cosine; bfloat16."""

_base_ = ['adamw_short.py']
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=1 / 6, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=1 / 6, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(max_epochs=6, val_interval=6)
