"""PiToMe (arXiv 2405.16148), keeping .95 per layer under the Dense Adapter: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 13.38 GFLOPs, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_pitome_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.PiToMe', keep_rate=0.95),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
