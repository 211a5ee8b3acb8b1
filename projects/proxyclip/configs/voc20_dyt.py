"""ProxyCLIP, CLIP-B/16 and DINO-B/16; half of the patches of each layer skip the FFN once DyT is trained, PASCAL VOC, 20 classes.

Expected: no published figure, not measured here; the cost is decided by the image.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dyt.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(backbone=dict(sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5)))
