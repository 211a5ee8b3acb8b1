"""The control of tiny_clips.py: the training segments' labels are shuffled, so nothing can be learned.

Expected: chance, 25 % top-1 (seed 0, 2026-11-30, 2-core EPYC).
Run: python tools/train.py configs/video/tiny_clips_shuffled.py
"""

_base_ = ['tiny_clips.py']
train_dataloader = dict(dataset=dict(label_seed=0))
