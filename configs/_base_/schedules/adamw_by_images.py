"""AdamW for one's own pictures: length and learning rate follow from their number (mmsparse/config/own_folder.py); bfloat16."""

optim_wrapper = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='AdamW', weight_decay=0.01))
param_scheduler = [
    dict(type='mmsparse.WarmupLR', share=0.1, start_factor=1e-6, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.1, eta_min=0.0, by_epoch=False),
]
train_cfg = dict(by_epoch=True, max_epochs=10)  # more, where these are few steps
val_cfg = dict()
test_cfg = dict()
