"""ProxyCLIP, CLIP-B/16 and DINO-B/16 under DyT, to show that they run together; its dispatchers are untrained, PASCAL VOC, 20 classes.

Expected: no figure, published or measured: half of the patches skip each FFN only once the dispatchers have been trained.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dyt.py none
"""

_base_ = ['_base_/voc20.py']
model = dict(backbone=dict(sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5)))
