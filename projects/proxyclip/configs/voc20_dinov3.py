"""ProxyCLIP, CLIP-B/16 and DINOv3-B/16, PASCAL VOC, 20 classes.

Expected: no published figure, not measured here; 38.5 GFLOPs per window in CLIP, 80.8 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dinov3.py none
"""

_base_ = ['_base_/vitb16.py', '_base_/voc20_images.py']
model = dict(
    classes='voc20',
    vfm=dict(type='mmsparse.TimmFeatures', host=dict(name='vit_base_patch16_dinov3.lvd1689m')),
)
