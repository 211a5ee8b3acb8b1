"""Sparse-Tuning on the small host that ships with the project: Dense Adapter of width 32, EViT keeps .7 of the patches at layers 4, 7 and 10."""

_base_ = ['tiny_shipped.py']
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7, fuse='merge', normalize=True),
    ),
)
