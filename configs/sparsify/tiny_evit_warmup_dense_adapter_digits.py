"""EViT under the Dense Adapter with EViT's own schedule: all patches for 2 epochs, then the keep rate falls to .7 over 5.

Expected: 91.8 % top-1 (three seeds, docs/sparsifier_results.md), minutes on two CPU cores; 0.12 GFLOPs, 0.18 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/tiny_evit_warmup_dense_adapter_digits.py
"""

_base_ = ['tiny_evit_dense_adapter_digits.py']
custom_hooks = [dict(type='mmsparse.KeepRateWarmupHook', start=2, epochs=5)]
