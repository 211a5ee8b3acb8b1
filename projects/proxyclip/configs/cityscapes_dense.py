"""ProxyCLIP, CLIP-B/16 and DINO-B/16, Cityscapes.

Expected: 38.1 mIoU as published for this pair of networks, not measured here; cost unknown.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/cityscapes_dense.py none
"""

_base_ = ['_base_/cityscapes.py']
