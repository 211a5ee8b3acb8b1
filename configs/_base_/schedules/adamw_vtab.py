"""AdamW for VTAB-1K (DyT's recipe): 100 epochs of batch 64, the first tenth of warm-up, then cosine to 1e-5; bfloat16."""

_base_ = ['adamw_100e.py']
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=0.1, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.1, eta_min=1e-5, by_epoch=False),
]
