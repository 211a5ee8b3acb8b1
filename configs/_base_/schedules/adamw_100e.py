"""AdamW, 100 epochs: 20 of linear warm-up, then cosine to 0, both per iteration (the recipe of DyT for whole image sets).

The rate holds for 256 images per step; --auto-scale-lr turns it into the rate of the real batch. Runs in bfloat16, on a CPU as well.
"""

optim_wrapper = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
auto_scale_lr = dict(base_batch_size=256, enable=False)
# LinearLR multiplies, so it cannot start from 0 itself.
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=20, T_max=80, eta_min=0.0, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()
