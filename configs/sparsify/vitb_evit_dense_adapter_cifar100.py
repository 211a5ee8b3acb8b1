"""EViT (arXiv 2202.07800) under the Dense Adapter, which is Sparse-Tuning: ViT-B/16 IN-21k, CIFAR-100.

Expected: 92.31 % top-1 by the paper, not measured here; 11.75 GFLOPs, 1.09 M trainable in the backbone (paper: 11.70, 1.10).
Run: python tools/train.py configs/sparsify/vitb_evit_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = ['../sparse_tuning/vitb_cifar100.py']
