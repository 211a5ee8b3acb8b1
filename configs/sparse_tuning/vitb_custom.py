"""Sparse-Tuning on your own pictures: a folder with a sub-folder for each class, on ViT-B/16 with IN-21k weights or on a host of your choice (--host).

Expected: what the pictures allow; not measured here. 11.75 GFLOPs, 1.09 M trainable in the adapters.
Run: python tools/train.py configs/sparse_tuning/vitb_custom.py --data FOLDER
"""

_base_ = [
    '../_base_/models/vitb_sparse_tuning.py',
    '../_base_/datasets/own_folder.py',
    '../_base_/schedules/adamw_by_images.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes={{_base_.data_preprocessor.num_classes}}))  # a stand-in, as many as the folder has
