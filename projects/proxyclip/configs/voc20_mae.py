"""ProxyCLIP, CLIP-B/16 and MAE-B/16, PASCAL VOC, 20 classes.

Expected: no figure at hand, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_mae.py none
"""

_base_ = ['_base_/voc20.py']
mae = dict(_delete_=True, type='mmsparse.TimmViT', name='vit_base_patch16_224.mae', dynamic_img_size=True)
model = dict(vfm=dict(host=mae))
