"""Sparse-Tuning on one task of small VTAB, six tasks that need no download: the small host.

Not a figure of the paper. Expected: docs/small_vtab.md has all six with three epochs; half a minute each on one CPU core.
Run: python tools/train.py configs/sparse_tuning/tiny_small_vtab.py --cfg-options task=quadrant
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/small_vtab.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
train_cfg = dict(max_epochs=3, val_interval=3)
