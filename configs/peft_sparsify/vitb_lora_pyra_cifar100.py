"""PYRA (arXiv 2403.09192), its low schedule with its LoRA of rank 8: ViT-B/16 IN-21k, CIFAR-100.

Expected: 72.43 % by Sparse-Tuning's Table II as the mean over VTAB-1K; on CIFAR-100, as here, not measured; 8.82 GFLOPs,
0.32 M trainable in the backbone (there: 16.37, which no schedule of PYRA gives, 0.30).
Run: python tools/train.py configs/peft_sparsify/vitb_lora_pyra_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.LoRA', rank=8, dropout=0.1),
        sparsifier=dict(type='mmsparse.PYRA', r=[16] * 11 + [10]),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
