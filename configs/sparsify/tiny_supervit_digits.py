"""Train once, serve at many keep rates and sizes (SuperViT's idea, arXiv 2205.11397): every step draws a keep rate and an input size.

Expected: 91.4 % top-1 at r = .7 (three seeds, docs/sparsifier_results.md); 0.12 GFLOPs at .7, 0.18 M trainable in the backbone.
Test the same checkpoint at another rate with --cfg-options model.backbone.sparsifier.keep_rate=0.5
Run: python tools/train.py configs/sparsify/tiny_supervit_digits.py
"""

_base_ = [
    '../_base_/models/tiny_sparse_tuning.py',
    '../_base_/datasets/digits.py',
    '../_base_/schedules/adamw_short.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(host=dict(dynamic_img_size=True)), head=dict(num_classes={{_base_.data_preprocessor.num_classes}})
)
custom_hooks = [dict(type='mmsparse.RandomKeepRateHook', keep_rates=(0.5, 0.7, 0.9, 1.0), sizes=(24, 28, 32))]
