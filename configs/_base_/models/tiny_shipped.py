"""The small host that ships with the project and a linear classifier: 12 layers, width 128, 32 px in patches of 4, seen seven classes of CIFAR-10."""

_base_ = ['vitb_in21k.py']
host = dict(
    name='vit_tiny_patch16_224',
    checkpoint='mmsparse://tiny_vit',
    img_size=32,
    patch_size=4,
    embed_dim=128,
    depth=12,
    num_heads=4,
)
model = dict(backbone=dict(host=host), head=dict(in_channels=128))
