"""ATS by the attention received under the Dense Adapter, on a host without class token: SigLIP ViT-B/16 (arXiv 2303.15343), CIFAR-100.

Expected: not measured here; 11.62 GFLOPs where no patch is sampled twice, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_siglip_ats_received_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_siglip_evit_received_dense_adapter_cifar100.py']
model = dict(
    backbone=dict(
        sparsifier=dict(_delete_=True, type='mmsparse.ATS', layers=(4, 7, 10), keep_rate=0.7, score='received'),
    ),
)
