"""AdaptFormer of width 32 under EViT, 70 % of the patches: the small host, scikit-learn's digits.

Expected: 86.6 % top-1 (five seeds, docs/claim.md), minutes on two CPU cores; 0.117 GFLOPs,
0.10 M trainable in the backbone.
Run: python tools/train.py configs/peft_sparsify/tiny_adaptformer_evit_digits.py
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(adapter=dict(_delete_=True, type='mmsparse.AdaptFormer', bottleneck=32)), head=dict(num_classes=10))
