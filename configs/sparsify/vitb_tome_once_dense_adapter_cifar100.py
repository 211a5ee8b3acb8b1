"""Half of the tokens merge once, after the attention of block 6: the setting of FPET (arXiv 2503.20282), which reports no loss under adapters.

Expected: not measured here; 12.83 GFLOPs, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_tome_once_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.ToMe', r=[0] * 5 + [98] + [0] * 6),
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
