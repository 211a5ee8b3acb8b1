"""NOAH (arXiv 2206.04673), the sub-network that its authors found for CIFAR-100 of VTAB-1K, trained by itself: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 18.17 GFLOPs, 0.32 M trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_noah_cifar100.py; one's own: --cfg-options model.backbone.adapter.subnet=SUBNET.json
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_vtab.py',
    '../_base_/default_runtime.py',
]
subnet = dict(
    prompts=[10, 5, 10, 1, 5, 1, 10, 1, 10, 5, 1, 10],
    lora=[10, 1, 5, 5, 1, 10, 1, 1, 1, 10, 1, 1],
    adapter=[5, 10, 10, 10, 5, 1, 1, 1, 10, 10, 10, 1],
)
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.NOAH', sizes=(1, 5, 10), subnet=subnet)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
train_dataloader = dict(batch_size=64)
