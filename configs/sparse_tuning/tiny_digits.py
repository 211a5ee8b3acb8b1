"""Sparse-Tuning end to end and offline: scikit-learn's digits on the small ViT that ships with the project.

Not a figure of the paper. Expected: 93.7 % top-1 (93.5 to 94.2 over three seeds, docs/demo.md), minutes on two CPU cores.
Run: python tools/train.py configs/sparse_tuning/tiny_digits.py
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
default_hooks = dict(logger=dict(interval=20))
