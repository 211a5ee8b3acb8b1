"""Sparse-Tuning on ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Object, with adapters trained on COCO-Stuff.

Expected: not measured here; 26.5 GFLOPs per window in CLIP, 68.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/coco_object_sparse_tuning.py work_dirs/coco_stuff_sparse_tuning/iter_40000
"""

_base_ = ['_base_/coco_object.py', '_base_/sparse_tuning.py']
model = dict(backbone=_base_.reduction)
