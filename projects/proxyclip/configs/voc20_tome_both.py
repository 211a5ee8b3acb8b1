"""ProxyCLIP, CLIP-B/16 and DINO-B/16; ToMe merges 25 pairs per layer in both, PASCAL VOC, 20 classes.

Expected: no published figure, not measured here; 25.7 GFLOPs per window in CLIP, 52.6 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_tome_both.py none
"""

_base_ = ['voc20_tome.py']
model = dict(vfm=dict(sparsifier=dict(type='mmsparse.ToMe', r=25)))
