"""Small configs of every vision model of transformers that has a view, and folders of them: what its tests share."""

import torch

from hosts import draw

WIDTH = 32
SIZE = dict(hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=2, patch_size=8)
SQUARE, WIDE = SIZE | dict(image_size=32), SIZE | dict(image_size=32, intermediate_size=64)
CONFIGS = {
    'vit': dict(WIDE, model_type='vit'),
    'dinov2': dict(SQUARE, model_type='dinov2'),
    'dinov2_gated': dict(SQUARE, model_type='dinov2', use_swiglu_ffn=True),
    'dinov2_registers': dict(SQUARE, model_type='dinov2_with_registers', num_register_tokens=4),
    'dinov3': dict(WIDE, model_type='dinov3_vit', num_register_tokens=4),
    'dinov3_gated': dict(WIDE, model_type='dinov3_vit', use_gated_mlp=True, query_bias=False),
    'clip': dict(WIDE, model_type='clip_vision_model'),
    'siglip': dict(WIDE, model_type='siglip_vision_model'),
    'siglip2': dict(SIZE, model_type='siglip2_vision_model', num_patches=16, intermediate_size=64),
}


def host_of(kind, checkpoint=False, **options):
    return dict(type='mmsparse.TransformersViT', config=CONFIGS[kind], checkpoint=checkpoint) | options


def of_folder(folder, **options):
    return dict(type='mmsparse.TransformersViT', name=str(folder)) | options


def pictures(height=32, width=32, batch=2):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def saved(folder, kind, config):
    """A model of the library with drawn parameters, in a folder as the library writes it."""
    model = draw(kind(config)).eval()
    model.save_pretrained(folder)
    return model


def entries(name):
    return {key: value for key, value in CONFIGS[name].items() if key != 'model_type'}
