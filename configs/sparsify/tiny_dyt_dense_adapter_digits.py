"""DyT's token dispatcher (arXiv 2403.11808) under the Dense Adapter: the small host, scikit-learn's digits.

Expected: 93.6 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores;
0.13 GFLOPs at exactly the rate .5, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_dyt_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
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
