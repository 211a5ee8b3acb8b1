"""Sparse-Tuning on ProxyCLIP, CLIP-B/16 and DINO-B/16, Cityscapes, with adapters trained on COCO-Stuff.

Expected: not measured here; 11.4 GFLOPs per window in CLIP, 29.1 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/cityscapes_sparse_tuning.py work_dirs/coco_stuff_sparse_tuning/iter_40000
"""

_base_ = ['_base_/cityscapes.py', '_base_/sparse_tuning.py']
model = dict(backbone=_base_.reduction)
