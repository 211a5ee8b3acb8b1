"""AdaptFormer of width 32 in CLIP's visual tower under ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Stuff 164k; nothing is reduced.

Expected: not measured here; 38.7 GFLOPs per window in CLIP, 80.6 in all.
Run: PYTHONPATH=. python tools/train.py projects/proxyclip/configs/coco_stuff_adaptformer.py
"""

_base_ = ['_base_/coco_stuff_train.py']
model = dict(backbone=dict(adapter=dict(type='mmsparse.AdaptFormer', bottleneck=32)))
