"""Full tuning of CLIP's visual tower under ProxyCLIP, CLIP-B/16 and DINO-B/16, COCO-Stuff 164k; words and proxy stay as they are.

Expected: not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/train.py projects/proxyclip/configs/coco_stuff_full_tuning.py
"""

_base_ = ['_base_/coco_stuff_train.py']
model = dict(backbone=dict(adapter=dict(type='mmsparse.FullTuning')))
optim_wrapper = dict(optimizer=dict(lr=5e-6, weight_decay=0.01))
