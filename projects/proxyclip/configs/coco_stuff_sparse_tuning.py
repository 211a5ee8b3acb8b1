"""Sparse-Tuning on ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Stuff 164k.

Expected: not measured here; 26.5 GFLOPs per window in CLIP, 68.4 in all.
Run: PYTHONPATH=. python tools/train.py projects/proxyclip/configs/coco_stuff_sparse_tuning.py
"""

_base_ = ['_base_/coco_stuff_train.py', '_base_/sparse_tuning.py']
model = dict(backbone=_base_.reduction)
