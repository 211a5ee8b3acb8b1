"""Sparse-Tuning on ViT-L/16, IN-21k: EViT at layers 7, 13 and 19, the long link spans 6.

The paper names neither; these fit its GFLOPs to 1 %.
"""

_base_ = ['vitl_in21k.py']
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32, skip=6),
        sparsifier=dict(type='mmsparse.EViT', layers=(7, 13, 19), keep_rate=0.7, fuse='merge', normalize=True),
    ),
)
