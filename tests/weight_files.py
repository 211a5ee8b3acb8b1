"""Files of a host's weights as other libraries write them: what the tests that read such files share."""

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn


def jax_arrays(host):
    """A timm host's parameters under the names and layouts of the original JAX files."""
    state = {key: value.numpy() for key, value in host.state_dict().items()}
    heads, width = host.blocks[0].attn.num_heads, host.embed_dim
    arrays = {
        'embedding/kernel': state['patch_embed.proj.weight'].transpose(2, 3, 1, 0),
        'embedding/bias': state['patch_embed.proj.bias'],
        'cls': state['cls_token'],
        'Transformer/posembed_input/pos_embedding': state['pos_embed'],
        'Transformer/encoder_norm/scale': state['norm.weight'],
        'Transformer/encoder_norm/bias': state['norm.bias'],
    }
    for i in range(len(host.blocks)):
        ours, theirs = f'blocks.{i}.', f'Transformer/encoderblock_{i}/'
        attention = theirs + 'MultiHeadDotProductAttention_1/'
        for norm, number in (('norm1', 0), ('norm2', 2)):
            arrays[f'{theirs}LayerNorm_{number}/scale'] = state[f'{ours}{norm}.weight']
            arrays[f'{theirs}LayerNorm_{number}/bias'] = state[f'{ours}{norm}.bias']
        for part, weight, bias in zip(
            ('query', 'key', 'value'),
            np.split(state[ours + 'attn.qkv.weight'], 3),
            np.split(state[ours + 'attn.qkv.bias'], 3),
            strict=True,
        ):
            arrays[f'{attention}{part}/kernel'] = weight.T.reshape(width, heads, -1)
            arrays[f'{attention}{part}/bias'] = bias.reshape(heads, -1)
        arrays[attention + 'out/kernel'] = state[ours + 'attn.proj.weight'].T.reshape(heads, -1, width)
        arrays[attention + 'out/bias'] = state[ours + 'attn.proj.bias']
        for number, part in enumerate(('fc1', 'fc2')):
            arrays[f'{theirs}MlpBlock_3/Dense_{number}/kernel'] = state[f'{ours}mlp.{part}.weight'].T
            arrays[f'{theirs}MlpBlock_3/Dense_{number}/bias'] = state[f'{ours}mlp.{part}.bias']
    return arrays | (jax_stem(host.patch_embed.backbone) if hasattr(host.patch_embed, 'backbone') else {})


def jax_stem(backbone):
    """The convolutional network before a hybrid's blocks."""
    stem, arrays = getattr(backbone, 'stem', backbone), {}

    def add(place, conv, norm, conv_name='conv{}', norm_name='gn{}', number=''):
        arrays[place + conv_name.format(number) + '/kernel'] = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
        for theirs, ours in (('scale', norm.weight), ('bias', norm.bias)):
            arrays[place + norm_name.format(number) + f'/{theirs}'] = ours.detach().numpy().reshape(1, 1, 1, -1)

    add('', stem.conv, stem.norm, 'conv_root', 'gn_root')
    for i, stage in enumerate(getattr(backbone, 'stages', ()), 1):
        for j, unit in enumerate(stage.blocks, 1):
            place = f'block{i}/unit{j}/'
            for number in (1, 2, 3):
                add(place, getattr(unit, f'conv{number}'), getattr(unit, f'norm{number}'), number=number)
            if unit.downsample is not None:
                add(place, unit.downsample.conv, unit.downsample.norm, 'conv_proj', 'gn_proj')
    return arrays


def save(host, path) -> str:
    """Write a host's weights in the format that the path's suffix names; returns the path."""
    if path.suffix == '.npz':
        np.savez(path, **jax_arrays(host))
    elif path.suffix == '.safetensors':
        save_file(host.state_dict(), path)
    else:
        torch.save(dict(state_dict=host.state_dict() | {'head.weight': torch.zeros(3, 48)}), path)
    return str(path)


def under(prefix, host):
    return {prefix + key: value for key, value in host.state_dict().items()}


class Part(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def archive(state, path, **more):
    """Write tensors as OpenAI published CLIP: a TorchScript archive."""
    root = Part()
    for key, value in state.items():
        *owners, name = key.split('.')
        part = root
        for owner in owners:
            if not hasattr(part, owner):
                part.add_module(owner, Part())
            part = getattr(part, owner)
        part.register_parameter(name, nn.Parameter(value.detach().clone()))
    for name, value in more.items():
        root.register_buffer(name, torch.tensor(value))
    torch.jit.script(root).save(str(path))


def openai_clip(path, host):
    archive(
        under('visual.', host) | {'logit_scale': torch.ones([])},
        path,
        input_resolution=32,
        context_length=77,
        vocab_size=49408,
    )
