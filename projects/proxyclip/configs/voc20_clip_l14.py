"""ProxyCLIP, CLIP-L/14 and DINO-B/16, PASCAL VOC, 20 classes.

Expected: no published figure (83.2 mIoU with DINO-B/8), not measured here; 184.2 GFLOPs per window in CLIP, 226.3 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_clip_l14.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(backbone=dict(host=dict(name='ViT-L-14-quickgelu')))
