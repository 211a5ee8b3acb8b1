"""ProxyCLIP with OpenAI's CLIP ViT-B/16 and DINO ViT-B/16 as proxy."""

_base_ = ['vitb16.py']
model = dict(
    vfm=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.DinoViT', name='vit_base_patch16_224.dino', checkpoint=None),
        out_type='featmap',
    ),
)
