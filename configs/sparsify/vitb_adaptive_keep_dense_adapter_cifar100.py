"""AdaptiveKeep under the Dense Adapter: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 11.75 GFLOPs in the mean over images, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_adaptive_keep_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.AdaptiveKeep', layers=(4, 7, 10), keep_rate=0.7),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
custom_hooks = [dict(type='mmsparse.CalibrationHook')]
