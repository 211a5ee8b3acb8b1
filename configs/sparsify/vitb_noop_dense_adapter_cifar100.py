"""No token leaves: the Dense Adapter by itself, to compare every reduction with (Sparse-Tuning, Table V c): ViT-B/16 IN-21k, CIFAR-100.

Expected: 92.66 % top-1 by the paper, not measured here; 17.80 GFLOPs, 1.09 M trainable in the backbone (paper: 17.89, 1.10).
Run: python tools/train.py configs/sparsify/vitb_noop_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_random_dense_adapter_cifar100.py']
model = dict(backbone=dict(sparsifier=dict(_delete_=True, type='mmsparse.NoOp')))
