"""ProxyCLIP, CLIP-B/16 and DINO-S/16, PASCAL VOC, 20 classes.

Expected: no figure at hand, not measured here; 38.5 GFLOPs per window in CLIP, 50.2 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dino_s16.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(vfm=dict(host=dict(name='vit_small_patch16_224.dino')))
