"""FPET (arXiv 2503.20282), one trained merge, under the Dense Adapter: the small host, scikit-learn's digits.

Expected: not measured here, minutes on two CPU cores; 0.14 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_fpet_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.FPET', layer=7, bottleneck=32),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
