"""ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Object; ToMe merges 25 pairs in every layer.

Expected: no published figure, not measured here; 25.7 GFLOPs per window in CLIP, 67.5 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/coco_object_tome.py none
"""

_base_ = ['_base_/coco_object.py', '_base_/tome.py']
model = dict(backbone=_base_.reduction)
