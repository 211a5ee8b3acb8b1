"""Sparse-Tuning, Table IV: LoRA of rank 8 on q and v under DynamicViT at .7, .5, .3.

Expected: 72.38 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 11.37 GFLOPs,
3.18 M trainable in the backbone (paper: 9.02, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_lora_dynamicvit_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmsparse.SparseClassifier',
    backbone=dict(
        adapter=dict(type='mmsparse.LoRA', rank=8),
        sparsifier=dict(type='mmsparse.DynamicViT', layers=(4, 7, 10), keep_rates=(0.7, 0.5, 0.3)),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
