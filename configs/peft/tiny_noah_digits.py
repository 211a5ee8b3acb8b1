"""NOAH (arXiv 2206.04673), a sub-network trained by itself, here half of the super-network: the small host, scikit-learn's digits.

Expected: 92.3 % top-1 (three seeds, docs/peft_results.md), minutes on two CPU cores; 0.185 GFLOPs, 0.06 M trainable in
the backbone.
Run: python tools/train.py configs/peft/tiny_noah_digits.py; what a search found: --cfg-options model.backbone.adapter.subnet=SUBNET.json
"""

_base_ = [
    '../_base_/models/tiny_shipped.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
subnet = dict(prompts=[5] * 12, lora=[5] * 12, adapter=[5] * 12)
model = dict(
    backbone=dict(adapter=dict(type='mmsparse.NOAH', sizes=(1, 5, 10), subnet=subnet)),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
