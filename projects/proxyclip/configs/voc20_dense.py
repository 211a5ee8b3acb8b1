"""ProxyCLIP, CLIP-B/16 and DINO-B/16, PASCAL VOC, 20 classes.

Expected: 78.2 mIoU as published for this pair of networks, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dense.py none
"""

_base_ = ['_base_/voc20.py']
