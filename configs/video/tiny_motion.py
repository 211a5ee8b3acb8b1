"""Dense Adapter, frame by frame, on digits that move left or right: the label lies in the order of the frames, which it does not see.

Expected: chance, exactly 50 % top-1, by construction (each clip is there backwards too); 50.0 (seed 0, 2026-11-30).
Run: python tools/train.py configs/video/tiny_motion.py
"""

_base_ = [
    '../_base_/models/tiny_video.py',
    '../_base_/datasets/moving_digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(host=dict(img_size=16), adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
auto_scale_lr = dict(base_batch_size=20)
train_cfg = dict(max_epochs=5)
