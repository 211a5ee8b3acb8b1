"""ProxyCLIP, CLIP-B/16 and DINO-B/16; ToMe merges what DINO finds alike, PASCAL VOC, 20 classes.

Expected: no published figure, not measured here; 25.9 GFLOPs per window in CLIP, 67.7 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_guided_tome.py none
"""

_base_ = ['voc20_tome.py']
model = dict(backbone=dict(sparsifier=dict(metric='context')))
