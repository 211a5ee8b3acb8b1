"""AdamW for Kinetics-400 (DyT's recipe): 12 epochs, 2 of them warm-up, then cosine to 0; bfloat16. The rate holds for 256 clips per step: --auto-scale-lr."""

_base_ = ['adamw_100e.py']
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=1 / 6, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=1 / 6, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(max_epochs=12, val_interval=4)
