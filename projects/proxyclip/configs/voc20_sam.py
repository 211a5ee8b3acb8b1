"""ProxyCLIP, CLIP-B/16 and SAM-B at 1024 px, PASCAL VOC, 20 classes.

Expected: no figure at hand, not measured here; 38.5 GFLOPs per window in CLIP, 543.4 in all.
Run: PYTHONPATH=. python tools/test.py projects/proxyclip/configs/voc20_sam.py none
"""

_base_ = ['_base_/vitb16.py', '_base_/voc20_images.py']
model = dict(
    classes='voc20',
    vfm=dict(type='mmsparse.TimmFeatures', host=dict(name='samvit_base_patch16.sa1b')),
    vfm_size=(1024, 1024),
    window_batch=2,
)
