"""Selected weights (GPS, arXiv 2312.10136), one per neuron: the small host, scikit-learn's digits.

Expected: 87.7 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.168 GFLOPs, 13,824 trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_selected_weights_digits.py
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.SelectedWeights', per_neuron=1)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
custom_hooks = [dict(type='mmsparse.WeightSelectionHook')]  # chooses before the first step
