"""ATS by the attention received under the Dense Adapter, on a host without class token: SigLIP ViT-B/16 (arXiv 2303.15343), CIFAR-100.

Expected: not measured here; 11.62 GFLOPs where no patch is sampled twice, 1.09 M trainable in the backbone.
Run: python tools/train.py configs/sparsify/vitb_siglip_ats_received_dense_adapter_cifar100.py --auto-scale-lr
"""

_base_ = [
    '../_base_/models/vitb_in21k.py',
    '../_base_/datasets/cifar100.py',
    '../_base_/schedules/adamw_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        host=dict(name='vit_base_patch16_siglip_224.webli'),
        adapter=dict(type='mmsparse.DenseAdapter', bottleneck=32),
        sparsifier=dict(type='mmsparse.ATS', layers=(4, 7, 10), keep_rate=0.7, score='received'),
        out_type='pooled',
    ),
    head=dict(num_classes={{_base_.data_preprocessor.num_classes}}),
)
