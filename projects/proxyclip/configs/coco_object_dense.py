"""ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Object.

Expected: 36.2 mIoU as published for this pair of networks, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/coco_object_dense.py none
"""

_base_ = ['_base_/coco_object.py']
