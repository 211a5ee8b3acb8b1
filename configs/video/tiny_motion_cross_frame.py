"""Dense Adapter with links to the frames before and after, on digits that move left or right.

Expected: MEASURE.
Run: python tools/train.py configs/video/tiny_motion_cross_frame.py
"""

_base_ = ['tiny_motion.py']
model = dict(backbone=dict(adapter=dict(cross_frame=True)))
