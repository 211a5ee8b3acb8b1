"""DyT in CLIP's visual tower under ProxyCLIP, dispatcher at .5 and adapter of width 64, CLIP-B/16 and DINO-B/16, COCO-Stuff 164k.

Expected: not measured here; the cost is decided by the image.
Run: PYTHONPATH=. python tools/train.py projects/proxyclip/configs/coco_stuff_dyt.py
"""

_base_ = ['_base_/coco_stuff_train.py']
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DyTAdapter', bottleneck=64),
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    )
)
