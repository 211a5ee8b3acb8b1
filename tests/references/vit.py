"""A Vision Transformer on timm's parameter names, with EViT and Dense Adapter, one image at a time in float64."""

from dataclasses import dataclass

import torch

from .dense_adapter import dense_adapter
from .evit import follow, reduction
from .parts import attend, gelu, linear, normalise


@dataclass
class Answer:
    """features B×N'×C after the final norm; sources B×M and sizes B×N' as in Tokens; margin: the closest decision that was taken."""

    features: torch.Tensor
    sources: list
    sizes: list
    margin: float


def embed(state, image):
    """Patches, class token, registers and positions: rows, and how many of them are the prefix."""
    weight = state['patch_embed.proj.weight']
    side = weight.shape[-1]
    rows = []
    for top in range(0, image.shape[1], side):
        for left in range(0, image.shape[2], side):
            patch = image[:, top : top + side, left : left + side].reshape(-1)
            rows.append(weight.reshape(weight.shape[0], -1) @ patch + state.get('patch_embed.proj.bias', 0.0))
    x = torch.stack(rows)
    head = [state[name][0] for name in ('cls_token', 'reg_token') if name in state]
    if len(state['pos_embed'][0]) == len(x):  # positions for patches alone
        x = torch.cat([*head, x + state['pos_embed'][0]])
    else:
        x = torch.cat([*head, x]) + state['pos_embed'][0]
    if 'norm_pre.weight' in state:
        x = normalise(x, state['norm_pre.weight'], state['norm_pre.bias'])
    return x, sum(len(part) for part in head)


def one_image(state, image, heads, evit, adapter):
    x, prefix = embed(state, image)
    sources, sizes = list(range(prefix, len(x))), [1] * len(x)
    outputs, reductions, margin, layer = {}, {}, float('inf'), 1
    while f'blocks.{layer - 1}.norm1.weight' in state:
        own = f'blocks.{layer - 1}'
        mixed, class_row = attend(normalise(x, state[f'{own}.norm1.weight'], state[f'{own}.norm1.bias']), state, f'{own}.attn', heads)
        x = x + state.get(f'{own}.ls1.gamma', 1.0) * mixed
        if evit and layer in evit['layers']:
            found = reduction(class_row[prefix:], prefix, evit['keep_rate'], evit['fuse'], evit['normalize'])
            if found is not None:
                reductions[layer], margin = found[0], min(margin, found[1])
                x = reductions[layer] @ x
                sources, sizes = follow(sources, sizes, reductions[layer], prefix)
        hidden = gelu(linear(normalise(x, state[f'{own}.norm2.weight'], state[f'{own}.norm2.bias']), state, f'{own}.mlp.fc1'))
        grown = x + state.get(f'{own}.ls2.gamma', 1.0) * linear(hidden, state, f'{own}.mlp.fc2')
        if adapter:
            outputs[layer] = dense_adapter(adapter['state'], layer, x, outputs, reductions, **adapter['options'])
            grown = grown + outputs[layer]
        x, layer = grown, layer + 1
    if 'norm.weight' in state:
        x = normalise(x, state['norm.weight'], state['norm.bias'])
    return x, sources, sizes, margin


def vit(state, images, heads, evit=None, adapter=None):
    """Run a batch.

    Args:
        state: host parameters on timm's names; any float type.
        images: B×3×H×W.
        evit: dict(layers, keep_rate, fuse, normalize) or None.
        adapter: dict(state, options) or None; options are those of `dense_adapter`.
    """
    state = {name: value.double() for name, value in state.items()}
    if adapter:
        adapter = dict(state={name: value.double() for name, value in adapter['state'].items()}, options=adapter.get('options', {}))
    answers = [one_image(state, image.double(), heads, evit, adapter) for image in images]
    features, sources, sizes, margins = zip(*answers)
    return Answer(torch.stack(features), list(sources), list(sizes), min(margins))
