"""FPET (arXiv 2503.20282), one trained merge, under the Dense Adapter: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 13.58 GFLOPs, 1.10 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_fpet_dense_adapter_cifar100.py --auto-scale-lr
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
        sparsifier=dict(type='mmsparse.FPET', layer=7, bottleneck=32),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
