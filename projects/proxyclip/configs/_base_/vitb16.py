"""ProxyCLIP with OpenAI's CLIP ViT-B/16, positions by the published rule; which network is the proxy, is still open."""

_base_ = ['runtime.py']
model = dict(
    type='mmsparse.ProxyCLIP',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(336, 336),  # of training crops
    ),
    backbone=dict(
        type='mmsparse.SparseViT',
        host=dict(type='mmsparse.ProxyClipViT', name='ViT-B-16-quickgelu', checkpoint=None),
        readout=dict(type='mmsparse.ProxyReadout', beta=1.2, gamma=3.0),
    ),
    window=336,
    stride=112,
)
