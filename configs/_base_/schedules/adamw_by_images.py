"""AdamW for one's own pictures: length, learning rate and schedule follow from their number (mmsparse/engine/own_folder.py); bfloat16."""

optim_wrapper = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='AdamW', weight_decay=0.01))
train_cfg = dict(by_epoch=True, max_epochs=10)  # more, where these are few steps
val_cfg = dict()
test_cfg = dict()
