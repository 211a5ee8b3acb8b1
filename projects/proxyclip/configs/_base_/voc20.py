"""PASCAL VOC 2012, 20 classes, for CLIP-B/16 with DINO-B/16 as proxy."""

_base_ = ['vitb16_dinob16.py', 'voc20_images.py']
model = dict(classes='voc20')
