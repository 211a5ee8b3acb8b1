"""The small host with its own classifier: timm's ViT, 12 layers, width 128, 32 px in patches of 4."""

model = dict(
    type='TimmClassifier',
    model_name='vit_tiny_patch16_224',
    img_size=32,
    patch_size=4,
    embed_dim=128,
    depth=12,
    num_heads=4,
    num_classes=7,
    patch_drop_rate=0.5,
    loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    train_cfg=dict(augments=dict(type='Mixup', alpha=0.2)),
)
