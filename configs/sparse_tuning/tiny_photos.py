"""Sparse-Tuning on cats, deer and frogs: 300 real photographs of classes that the shipped small ViT has never seen, offline.

Not a figure of the paper. Expected: 68.6 % top-1 (67.8 to 69.3 over five seeds, docs/demo.md), linear probe 67.2; a minute on two cores.
Run: python tools/train.py configs/sparse_tuning/tiny_photos.py
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/unseen_photos.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))
