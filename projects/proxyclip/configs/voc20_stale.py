"""ProxyCLIP, CLIP-B/16 and DINO-B/16; EViT, patches that left keep the row they left with, PASCAL VOC, 20 classes.

Expected: no published figure, not measured here; 26.2 GFLOPs per window in CLIP, 68.1 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_stale.py none
"""

_base_ = ['voc20_evit.py']
model = dict(backbone=dict(readout=dict(restore='stale')))
