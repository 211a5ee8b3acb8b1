"""ProxyCLIP, CLIP-B/16 and DINO-B/16, ADE20K.

Expected: 19.6 mIoU as published for this pair of networks, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/ade20k_dense.py none
"""

_base_ = ['_base_/ade20k.py']
