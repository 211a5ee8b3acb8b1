"""A Vision Transformer on timm's parameter names, with any sparsifiers and Dense Adapter, one image at a time in
float64.
"""

from dataclasses import dataclass

import torch

from .adaptive_keep import adaptive_keep
from .ats import ats
from .cropr import cropr, remember
from .dense_adapter import dense_adapter
from .dynamicvit import dynamicvit, given_masks, given_rows
from .dyt import dyt, given_active
from .evit import evit
from .fpet import fpet
from .parts import attend, gelu, linear, normalise
from .pitome import pitome
from .restore import restored
from .sequence import Sequence
from .tome import pyra, tome

BEFORE = {
    'DynamicViT': dynamicvit,
    'Cropr': cropr,
    'masks': given_masks,
    'rows': given_rows,
}  # before attention; the others after it
AFTER = {
    'AdaptiveKeep': adaptive_keep,
    'EViT': evit,
    'ToMe': tome,
    'PYRA': pyra,
    'DyTDispatcher': dyt,
    'ATS': ats,
    'PiToMe': pitome,
    'FPET': fpet,
    'late_rows': given_rows,
    'active': given_active,
}
PROPORTIONAL = ('ToMe', 'PYRA', 'PiToMe', 'FPET')


@dataclass
class Answer:
    """Per image: rows N'×C after the final norm, sources M and sizes N' as in Tokens, what `restored` needs. margin:
    the closest decision taken.
    """

    rows: list
    sequences: list
    finish: object
    margin: float

    @property
    def features(self):
        """B×N'×C; only where all images have as many rows."""
        return torch.stack(self.rows)

    @property
    def prefix(self):
        return self.sequences[0].prefix

    @property
    def sources(self):
        return [sequence.sources for sequence in self.sequences]

    @property
    def sizes(self):
        return [sequence.sizes for sequence in self.sequences]

    def restored(self, mode, grid):
        """B×C×h×w."""
        found = [restored(s.steps, s.x, self.finish, s.prefix, len(s.sources), mode) for s in self.sequences]
        return torch.stack(found).transpose(1, 2).unflatten(2, grid)


def embed(state, image, eps):
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
        x = normalise(x, state['norm_pre.weight'], state['norm_pre.bias'], eps)
    return x, sum(len(part) for part in head)


def decide(methods, known, layer, sequence, reductions):
    """Ask the methods in order, each on the rows that the one before left; S of a layer is the product of theirs."""
    for method in methods:
        decision = (
            known[method['type']](method['options'], method['state'], layer, sequence)
            if method['type'] in known
            else None
        )
        matrix = None if decision is None else sequence.follow(decision)
        if matrix is not None:
            reductions[layer] = matrix @ reductions[layer] if layer in reductions else matrix


def one_image(state, item, image, heads, methods, adapter, eps, activation, clip):
    """Stops before and behind the adapter of each layer, until all frames of its clip have come so far."""
    x, prefix = embed(state, image, eps)
    sequence = Sequence(item, x, prefix, sources=list(range(prefix, len(x))), sizes=[1] * len(x))
    proportional = any(method['type'] in PROPORTIONAL for method in methods)
    outputs, reductions, layer = {}, {}, 1
    clip.append((sequence, outputs, reductions))
    place = len(clip) - 1
    while f'blocks.{layer - 1}.norm1.weight' in state:
        own = f'blocks.{layer - 1}'
        sequence.look = sequence.active = None
        decide(methods, BEFORE, layer, sequence, reductions)
        if any(method['type'] == 'Cropr' for method in methods):
            remember(sequence, outputs, reductions, layer)
        x = normalise(sequence.x, state[f'{own}.norm1.weight'], state[f'{own}.norm1.bias'], eps)
        mixed, sequence.look = attend(
            x, state, f'{own}.attn', heads, sequence.sizes if proportional else None, sequence.alive
        )
        sequence.x = sequence.x + state.get(f'{own}.ls1.gamma', 1.0) * mixed
        decide(methods, AFTER, layer, sequence, reductions)
        x = sequence.x
        hidden = activation(
            linear(
                normalise(x, state[f'{own}.norm2.weight'], state[f'{own}.norm2.bias'], eps), state, f'{own}.mlp.fc1'
            )
        )
        sequence.added = state.get(f'{own}.ls2.gamma', 1.0) * linear(hidden, state, f'{own}.mlp.fc2')
        sequence.entered.append(len(x) if sequence.active is None else int(sum(sequence.active)))
        if sequence.active is not None:
            sequence.added = sequence.added * torch.tensor(sequence.active, dtype=x.dtype)[:, None]
        sequence.x = x + sequence.added
        yield sequence
        if adapter:
            outputs[layer] = dense_adapter(adapter['state'], layer, x, clip, place, **adapter['options'])
            sequence.x = sequence.x + outputs[layer]
        yield sequence
        layer += 1
    yield sequence


def vit(state, images, heads, methods=(), adapter=None, eps=1e-6, activation=gelu, frames=1):
    """Run a batch.

    Args:
        state: host parameters on timm's names; any float type.
        images: B×3×H×W.
        methods: sparsifiers, each dict(type, options, state); a type of BEFORE or AFTER.
        adapter: dict(state, options) or None; options are those of `dense_adapter`.
        eps, activation: of the host's norms and FFNs.
        frames: so many neighbours in the batch are a clip.
    """

    def wide(own):
        return {name: value.double() for name, value in own.items()}

    state = wide(state)
    depth = sum(name.endswith('.norm1.weight') for name in state)
    methods = [
        dict(method, options=dict(depth=depth) | method['options'], state=wide(method['state'])) for method in methods
    ]
    adapter = adapter and dict(state=wide(adapter['state']), options=adapter.get('options', {}))
    sequences, clip = [], []
    for item, image in enumerate(images):
        clip = [] if item % frames == 0 else clip
        sequences.append(one_image(state, item, image.double(), heads, methods, adapter, eps, activation, clip))
    *_, sequences = zip(*sequences, strict=True)

    def finish(x):
        return normalise(x, state['norm.weight'], state['norm.bias'], eps) if 'norm.weight' in state else x

    return Answer(
        [finish(sequence.x) for sequence in sequences],
        sequences,
        finish,
        min(sequence.margin for sequence in sequences),
    )
