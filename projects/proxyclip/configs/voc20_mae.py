"""ProxyCLIP, CLIP-B/16 and MAE-B/16, PASCAL VOC, 20 classes.

Expected: no figure at hand, not measured here; 38.5 GFLOPs per window in CLIP, 80.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_mae.py none
"""

_base_ = ['_base_/vitb16.py', '_base_/voc20_images.py']
model = dict(
    classes='voc20',
    vfm=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.TimmViT', name='vit_base_patch16_224.mae', dynamic_img_size=True),
        out_type='featmap',
    ),
)
