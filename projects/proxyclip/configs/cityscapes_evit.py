"""ProxyCLIP, CLIP-B/16 and DINO-B/16, Cityscapes; EViT keeps .7 at layers 4, 7 and 10.

Expected: no published figure, not measured here; 11.3 GFLOPs per window in CLIP, 29.0 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/cityscapes_evit.py none
"""

_base_ = ['_base_/cityscapes.py', '_base_/evit.py']
model = dict(backbone=_base_.reduction)
