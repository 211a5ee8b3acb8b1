"""Tiny hosts of every kind, and parameters drawn so that a wrong network shows: with default initialisation it passes."""

import math

import torch
from torch import nn

from mmsparse.registry import MODELS
from references.names import as_timm
from references.vit import vit

HEADS, DEPTH, WIDTH = 3, 6, 48
RESIDUAL_WRITERS = ('proj', 'fc2', 'ffn.layers.1', 'up')  # damped, or the stream grows with depth


def timm_host(**options):
    tiny = dict(img_size=32, patch_size=8, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS)
    return dict(type='mmsparse.TimmViT', name='vit_tiny_patch16_224', checkpoint=False) | tiny | options


def mmpretrain_host(**options):
    arch = dict(embed_dims=WIDTH, num_layers=DEPTH, num_heads=HEADS, feedforward_channels=4 * WIDTH)
    return dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=32, patch_size=8, out_type='raw', checkpoint=False, **options)


HOSTS = {
    'timm': timm_host(),
    'timm_layer_scale': timm_host(init_values=1.0),
    'timm_registers': timm_host(reg_tokens=4),
    'timm_registers_bare_positions': timm_host(reg_tokens=4, no_embed_class=True),
    'timm_no_class_token': timm_host(class_token=False, global_pool='avg'),
    'timm_qk_norm': timm_host(qk_norm=True),
    'timm_pre_norm': timm_host(pre_norm=True),
    'timm_wide_image': timm_host(img_size=(32, 48)),
    'mmpretrain': mmpretrain_host(),
    'mmpretrain_layer_scale': mmpretrain_host(layer_scale_init_value=1.0),
    'mmpretrain_pre_norm': mmpretrain_host(pre_norm=True),
    'mmpretrain_no_class_token': mmpretrain_host(with_cls_token=False),
}
WITH_CLASS_TOKEN = [name for name in HOSTS if 'no_class_token' not in name]


def draw(module, seed=0):
    """Draw every parameter: activations of std about 1, peaked attention, nothing zero, nothing neutral. Returns the module."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low, high, like):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for path, part in module.named_modules():
            for name, parameter in part.named_parameters(recurse=False):
                if isinstance(part, nn.LayerNorm) and name == 'weight':
                    value = uniform(0.5, 1.5, parameter)
                    value *= 1.6 if path.endswith(('q_norm', 'k_norm')) else 1.0
                elif type(part).__name__ == 'LayerScale':
                    value = uniform(0.3, 1.7, parameter)
                elif name == 'bias':
                    value = uniform(-0.3, 0.3, parameter)
                elif name == 'weight':
                    value = torch.randn(parameter.shape, generator=generator) / math.sqrt(parameter[0].numel())
                    value *= 0.5 if path.endswith(RESIDUAL_WRITERS) or '.up.' in path else 1.0
                    if path.endswith('qkv'):
                        value[: 2 * len(value) // 3] *= 1.6
                else:  # class token, registers, positions
                    value = 0.7 * torch.randn(parameter.shape, generator=generator)
                parameter.copy_(value)
    return module


def build(host='timm', adapter=None, sparsifier=None, out_type='raw', seed=0):
    """A SparseViT on a named host with all parameters drawn, in evaluation mode."""
    host = HOSTS[host] if isinstance(host, str) else host
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=host, adapter=adapter, sparsifier=sparsifier, out_type=out_type))
    draw(backbone, seed)
    backbone.eval()
    return backbone


def images_for(host='timm', batch=3, seed=1):
    """Different images, B×3×H×W, about standard normal."""
    size = HOSTS[host]['img_size']
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def native(host, images):
    """The host's own forward, all rows after its final norm."""
    return host.forward_features(images) if hasattr(host, 'forward_features') else host(images)[-1]


def reference_of(backbone, images, sparsifier=None, adapter=None):
    """The float64 reference on the parameters of `backbone`; `sparsifier` and `adapter` are the configs it was built from."""
    if sparsifier:
        sparsifier = dict(fuse='merge', normalize=True) | sparsifier
    if adapter:
        options = {key: value for key, value in adapter.items() if key in ('fusion', 'inputs', 'skip', 'norm', 'scale')}
        adapter = dict(state=backbone.adapters[0].state_dict(keep_vars=True), options=options)
    return vit(as_timm(backbone.host.state_dict(keep_vars=True)), images, HEADS, sparsifier, adapter)


def clear_case(backbone, host, sparsifier=None, adapter=None, batch=3, seed=1):
    """Images on which no two rows tie for a place (rounding would then decide), and the reference's answer on them."""
    for attempt in range(seed, seed + 20):
        images = images_for(host, batch, attempt)
        expected = reference_of(backbone, images, sparsifier, adapter)
        if expected.margin > 1e-5:
            return images, expected
    raise AssertionError('every draw ties')
