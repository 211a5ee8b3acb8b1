"""ViT-L/16 with IN-21k weights and a linear classifier."""

_base_ = ['vitb_in21k.py']
model = dict(backbone=dict(host=dict(name='vit_large_patch16_224.orig_in21k')), head=dict(in_channels=1024))
