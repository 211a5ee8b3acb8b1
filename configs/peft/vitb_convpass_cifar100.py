"""ConvPass (arXiv 2207.07039), width 8 beside both branches: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.64 GFLOPs, 0.33 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_convpass_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.ConvPass', bottleneck=8, scale=0.1, places=('attn', 'mlp'))),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
