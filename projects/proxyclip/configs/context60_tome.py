"""ProxyCLIP, CLIP-B/16 and DINO-B/16, PASCAL Context with background; ToMe merges 25 pairs in every layer.

Expected: no published figure, not measured here; cost unknown.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/context60_tome.py none
"""

_base_ = ['_base_/context60.py', '_base_/tome.py']
model = dict(backbone=_base_.reduction)
