"""mmseg's EncoderDecoder: the small host that ships under a Dense Adapter, no reduction. Images of any size."""

model = dict(
    type='EncoderDecoder',
    # Here and not beside the model: mmseg's init_model and MMSegInferencer look nowhere else.
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[127.5] * 3,
        std=[127.5] * 3,
        bgr_to_rgb=True,
        size=(64, 64),
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size_divisor=4),  # patches; predictions are cut back to the picture
    ),
    backbone=dict(
        type='mmsparse.SparseViT',
        host=dict(
            type='mmsparse.TimmViT',
            name='vit_tiny_patch16_224',
            checkpoint='mmsparse://tiny_vit',
            img_size=32,
            patch_size=4,
            embed_dim=128,
            depth=12,
            num_heads=4,
            dynamic_img_size=True,
        ),
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        out_type='tokens',
    ),
    test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(48, 48)),
)
