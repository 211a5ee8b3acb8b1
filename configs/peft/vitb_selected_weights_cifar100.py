"""Selected weights (GPS, arXiv 2312.10136), one per neuron: ViT-B/16 IN-21k, CIFAR-100.

Expected: not measured here; 17.58 GFLOPs, 82,944 trainable in the backbone.
Run: python tools/train.py configs/peft/vitb_selected_weights_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.SelectedWeights', per_neuron=1)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
custom_hooks = [dict(type='mmsparse.WeightSelectionHook')]  # chooses before the first step
