"""ProxyCLIP, CLIP-B/16 and DINO-B/16, Cityscapes.

Expected: 38.1 mIoU as published for this pair of networks, not measured here; 16.3 GFLOPs per window in CLIP, 34.0 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/cityscapes_dense.py none
"""

_base_ = ['_base_/cityscapes.py']
