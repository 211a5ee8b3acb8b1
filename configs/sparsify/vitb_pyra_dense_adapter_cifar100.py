"""PYRA (arXiv 2403.09192), its low schedule under the Dense Adapter instead of its LoRA: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 8.88 GFLOPs, 1.12 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_pyra_dense_adapter_cifar100.py --auto-scale-lr
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
        sparsifier=dict(type='mmsparse.PYRA', r=[16] * 11 + [10]),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
