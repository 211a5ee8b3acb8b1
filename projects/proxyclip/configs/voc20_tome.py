"""ProxyCLIP, CLIP-B/16 and DINO-B/16, PASCAL VOC, 20 classes; ToMe merges 25 pairs in every layer.

Expected: no published figure, not measured here; 25.7 GFLOPs per window in CLIP, 67.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_tome.py none
"""

_base_ = ['_base_/voc20.py', '_base_/tome.py']
model = dict(backbone=_base_.reduction)
