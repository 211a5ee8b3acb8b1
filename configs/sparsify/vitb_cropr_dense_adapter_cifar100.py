"""Cropr (arXiv 2412.00965), 16 patches out per block, under the Dense Adapter: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 11.02 GFLOPs,
49.12 M trainable in the backbone, nearly all of it in auxiliary heads, which evaluation leaves out.
Run: python tools/train.py configs/sparsify/vitb_cropr_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
classes = {{_base_.data_preprocessor.num_classes}}
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.Cropr', num_classes=classes, pruned=16),
    ),
    head=dict(num_classes=classes),
)
