"""Sparse-Tuning, Table IV: LoRA of rank 8 on q and v under EViT, half of the patches.

Expected: 72.72 % by the paper as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 8.86 GFLOPs,
0.29 M trainable in the backbone (paper: 6.99, 0.16 M).
Run: python tools/train.py configs/peft_sparsify/vitb_lora_evit_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.LoRA', rank=8),
        sparsifier=dict(type='mmsparse.EViT', layers=(4, 7, 10), keep_rate=0.5, fuse='merge', normalize=True),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
