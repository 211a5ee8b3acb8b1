"""Full tuning, the whole host: ViT-B/16 IN-21k, CIFAR-100.

Expected: 90.91 % by the paper (Table I), not measured here; 17.58 GFLOPs, 85.80 M trainable in the backbone
(paper: 17.58, 85.80 M).
Run: python tools/train.py configs/peft/vitb_full_tuning_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_sparse_tuning.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(adapter=dict(_delete_=True, type='mmsparse.FullTuning'), sparsifier=None), head=dict(num_classes=100))
optim_wrapper = dict(optimizer=dict(lr=0.0001))
