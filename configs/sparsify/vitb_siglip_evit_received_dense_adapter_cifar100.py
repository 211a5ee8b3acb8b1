"""EViT by the attention received under the Dense Adapter, on a host without class token: SigLIP ViT-B/16 (arXiv 2303.15343), CIFAR-100.

Expected: not measured here; 11.75 GFLOPs, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_siglip_evit_received_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = ['vitb_evit_dense_adapter_cifar100.py']
model = dict(
    backbone=dict(
        host=dict(name='vit_base_patch16_siglip_224.webli'), sparsifier=dict(score='received'), out_type='pooled'
    ),
)
