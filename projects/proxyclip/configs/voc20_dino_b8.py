"""ProxyCLIP, CLIP-B/16 and DINO-B/8, PASCAL VOC, 20 classes.

Expected: 80.3 mIoU (paper, Table 1), not measured here; 38.5 GFLOPs per window in CLIP, 251.6 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dino_b8.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(vfm=dict(host=dict(name='vit_base_patch8_224.dino')))
