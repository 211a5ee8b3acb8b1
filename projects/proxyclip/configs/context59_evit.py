"""ProxyCLIP, CLIP-B/16 and DINO-B/16, PASCAL Context, 59 classes; EViT keeps .7 at layers 4, 7 and 10.

Expected: no published figure, not measured here; 26.2 GFLOPs per window in CLIP, 68.1 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/context59_evit.py none
"""

_base_ = ['_base_/context59.py', '_base_/evit.py']
model = dict(backbone=_base_.reduction)
