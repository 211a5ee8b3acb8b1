"""DyT's token dispatcher (arXiv 2403.11808) under the Dense Adapter: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 12.24 GFLOPs at exactly the rate .5, 1.10 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_dyt_dense_adapter_cifar100.py --auto-scale-lr
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
        sparsifier=dict(type='mmsparse.DyTDispatcher', rate=0.5),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
val_evaluator = test_evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='mmsparse.ReportMean', name='ffn_rate')]
