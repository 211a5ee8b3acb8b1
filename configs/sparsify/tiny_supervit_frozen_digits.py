"""Train once, serve at many keep rates and sizes (SuperViT's idea, arXiv 2205.11397), on a frozen host: only the head sees all of them.

Expected: 74.6 % top-1 at r = .7 (three seeds, docs/sparsifier_results.md); 0.11 GFLOPs at .7, nothing but the head is trained.
Run: python tools/train.py configs/sparsify/tiny_supervit_frozen_digits.py
"""

_base_ = ['tiny_supervit_digits.py']
model = dict(backbone=dict(adapter=None))
# With nothing to adapt, the shared rate leaves the head undertrained.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10))))
