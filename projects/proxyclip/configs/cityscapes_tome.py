"""ProxyCLIP, CLIP-B/16 and DINO-B/16, Cityscapes; ToMe merges 10 pairs in every layer, as suits windows of 224 px.

Expected: no published figure, not measured here; 11.5 GFLOPs per window in CLIP, 29.2 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/cityscapes_tome.py none
"""

_base_ = ['_base_/cityscapes.py']
tome = dict(type='mmsparse.ToMe', r=10)
model = dict(backbone=dict(sparsifier=tome, readout=dict(fold=True)))
