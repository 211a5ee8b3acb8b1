"""AdamW, 100 epochs: the first fifth of linear warm-up, then cosine to 0, both per iteration (the recipe of DyT for whole image sets).

Warm-up and cosine are shares of the run, so train_cfg.max_epochs is all that another length needs.
The rate holds for 256 images per step; --auto-scale-lr turns it into the rate of the real batch. Runs in bfloat16, on a CPU as well.
"""

optim_wrapper = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
auto_scale_lr = dict(base_batch_size=256, enable=False)
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=0.2, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.2, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)
val_cfg = dict()
test_cfg = dict()
