"""ProxyCLIP, CLIP-B/16 and DINOv2-B/14 with registers, PASCAL VOC, 20 classes.

Expected: no figure at hand, not measured here; 38.5 GFLOPs per window in CLIP, 95.1 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_dinov2.py none
"""

_base_ = ['_base_/vitb16.py', '_base_/voc20_images.py']
model = dict(
    classes='voc20',
    vfm=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.TimmViT', name='vit_base_patch14_reg4_dinov2.lvd142m', dynamic_img_size=True),
        out_type='featmap',
    ),
)
