"""PYRA (arXiv 2403.09192), 4 pairs per layer under the Dense Adapter instead of its LoRA: the small host, scikit-learn's digits.

Expected: 93.4 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.11 GFLOPs, 0.19 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_pyra_dense_adapter_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32), sparsifier=dict(type='mmsparse.PYRA', r=4)
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
