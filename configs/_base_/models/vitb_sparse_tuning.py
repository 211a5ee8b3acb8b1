"""Sparse-Tuning on ViT-B/16, IN-21k: Dense Adapter of width 32, EViT keeps .7 of the patches at layers 4, 7 and 10.

Pixels are normalised by the dataset's ``data_preprocessor`` to -1 … 1, as these weights expect.
"""

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.TimmViT', name='vit_base_patch16_224.orig_in21k', checkpoint=None, img_size=224),
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.7, fuse='merge', normalize=True),
        out_type='cls_token',
    ),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
        # Not zero, as in mmpretrain's own ViT head: a zero head lets no gradient through to the adapters.
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    ),
)
