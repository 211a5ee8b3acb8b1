"""ProxyCLIP, CLIP-H/14 (LAION-2B) and DINO-B/16, PASCAL VOC, 20 classes.

Expected: no published figure (83.3 mIoU with DINO-B/8), not measured here; 380.4 GFLOPs per window in CLIP, 422.8 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_clip_h14.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(backbone=dict(host=dict(name='ViT-H-14', pretrained='laion2b_s32b_b79k')))
