"""ViT-B/16 with IN-21k weights and a linear classifier on its class token; adapter, sparsifier and number of classes are the leaf's.

Pixels are normalised by the dataset's ``data_preprocessor`` to -1 … 1, as these weights expect.
"""

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.TimmViT', name='vit_base_patch16_224.orig_in21k', checkpoint=None, img_size=224),
        out_type='cls_token',
    ),
    head=dict(
        type='LinearClsHead',
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
        # Not zero, as in mmpretrain's own ViT head: a zero head lets no gradient through to the adapters.
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01),
    ),
)
