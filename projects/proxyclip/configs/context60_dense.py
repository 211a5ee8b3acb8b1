"""ProxyCLIP, CLIP-B/16 and DINO-B/16, PASCAL Context with background.

Expected: 35.2 mIoU as published for this pair of networks, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/context60_dense.py none
"""

_base_ = ['_base_/context60.py']
