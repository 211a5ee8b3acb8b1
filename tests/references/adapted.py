"""A Vision Transformer on timm's parameter names under PEFT methods, one image at a time in float64, sparsifiers after
attention included.

`methods` are (name, options, state) with state the method's own parameters; they act in order at every place.
"""

import math

import torch

from .parts import Look, gelu, linear, normalise, quick_gelu, relu, softmax
from .sequence import Sequence
from .side import bypass, combined, query_by_query
from .vit import AFTER, PROPORTIONAL, decide

MATRICES = {'proj': 'attn.proj', 'fc1': 'mlp.fc1', 'fc2': 'mlp.fc2'}
SLICES = {'q': (1, 1), 'k': (1, 1), 'v': (1, 1), 'proj': (1, 1), 'fc1': (4, 1), 'fc2': (1, 4)}  # D×D, out and in


def adapted(state, images, heads, methods, sparsifiers=()):
    """All rows after the final norm, one tensor per image, and the closest decision that a sparsifier took.

    `sparsifiers` are dict(type, options) of those without parameters.
    """
    state = {key: value.double() for key, value in state.items()}
    methods = [(name, options, {key: value.double() for key, value in own.items()}) for name, options, own in methods]
    found = [one(state, item, image.double(), heads, methods, sparsifiers) for item, image in enumerate(images)]
    return [rows for rows, _ in found], min(sequence.margin for _, sequence in found)


def one(state, item, image, heads, methods, sparsifiers):
    depth = 1 + max(int(key.split('.')[1]) for key in state if key.startswith('blocks.'))
    kernel = state['patch_embed.proj.weight']
    side = kernel.shape[-1]
    tiles = [
        image[:, i : i + side, j : j + side].flatten()
        for i in range(0, image.shape[1], side)
        for j in range(0, image.shape[2], side)
    ]
    x = torch.stack(tiles) @ kernel.flatten(1).T + state['patch_embed.proj.bias']
    x = after(methods, 'embed', 0, torch.stack(tiles), x)
    x = torch.cat([state['cls_token'][0], x]) + state['pos_embed'][0]
    sequence = Sequence(item, x, 1, sources=list(range(1, len(x))), sizes=[1] * len(x))
    sequence.grid = image.shape[1] // side, image.shape[2] // side
    sequence.bypass, sequence.told = (x, 0), []
    sparsifiers = [
        dict(sparsifier, options=dict(depth=depth) | sparsifier['options'], state={}) for sparsifier in sparsifiers
    ]
    counts = [0 for _ in methods]
    for layer in range(1, depth + 1):
        prompt(methods, layer, sequence, counts)
        block(state, f'blocks.{layer - 1}.', layer, sequence, heads, methods, sparsifiers)
    x = after(methods, 'norm', depth, sequence.x, normalise(sequence.x, state['norm.weight'], state['norm.bias']))
    for name, _, own in methods:
        x = combined(own, sequence.told).expand_as(x) if name == 'SynQT' else x
    return x, sequence


def prompt(methods, layer, sequence, counts):
    """Put the layer's prompts of each method in the place of its last ones, behind the class token in the order of the
    list; `counts` are how many of each are there.
    """
    start = 1
    for index, (name, options, own) in enumerate(methods):
        rows = []
        if name == 'VPT' and layer <= len(own['prompts']):
            rows = own['prompts'][layer - 1]
        if name == 'NOAH':
            rows = own.get(f'layers.{layer}.prompts', [])[: size_of(options, 'prompts', layer)]
        if len(rows):
            sequence.x = torch.cat([sequence.x[:start], rows, sequence.x[start + counts[index] :]])
            counts[index] = len(rows)
        start += counts[index]
    more, sequence.prefix = start - sequence.prefix, start
    sequence.sources = [source + more if source >= 0 else -1 for source in sequence.sources]
    sequence.sizes = [1] * start + sequence.sizes[start - more :]


def size_of(options, module, layer):
    return options['subnet'][module][layer - 1] if options.get('subnet') else max(options['sizes'])


def block(state, stem, layer, sequence, heads, methods, sparsifiers):
    own, x = {key.removeprefix(stem): value for key, value in state.items() if key.startswith(stem)}, sequence.x
    own = selected(methods, layer, own)
    h = after(methods, 'norm1', layer, x, normalise(x, own['norm1.weight'], own['norm1.bias']))
    width = h.shape[1]
    qkv = linear(h, own, 'attn.qkv')
    thirds = [slice(i * width, (i + 1) * width) for i in range(3)]
    weight, bias = own['attn.qkv.weight'], own['attn.qkv.bias']
    q, k, v = (after(methods, part, layer, h, qkv[:, i], weight[i], bias[i]) for part, i in zip('qkv', thirds))
    size, mixed, weights = width // heads, [], []
    counts = any(sparsifier['type'] in PROPORTIONAL for sparsifier in sparsifiers)
    bias = torch.tensor([math.log(count) for count in sequence.sizes], dtype=x.dtype) if counts else 0.0
    for name, _, side in methods:
        if name == 'SynQT':
            query_by_query(side, own, layer, k, v, heads, bias, sequence.told)
    more_k, more_v = beyond(methods, layer, k[:0], own)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = q[:, part] @ k[:, part].T / size**0.5 + bias + of_places(own, head, sequence)
        weights.append(softmax(logits))  # what a sparsifier sees
        logits = torch.cat([logits, q[:, part] @ more_k[:, part].T / size**0.5], 1)
        mixed.append(softmax(logits) @ torch.cat([v[:, part], more_v[:, part]]))
    mixed = torch.cat(mixed, 1)
    y = linear_after(methods, 'proj', layer, mixed, own, 'attn.proj')
    sequence.x = x + beside(methods, 'attn', layer, sequence, h, y)
    sequence.look = Look(torch.stack(weights), k.unflatten(1, (heads, size)).transpose(0, 1), v)
    decide(sparsifiers, AFTER, layer, sequence, {})
    x = sequence.x
    h = after(methods, 'norm2', layer, x, normalise(x, own['norm2.weight'], own['norm2.bias']))
    z = gelu(linear_after(methods, 'fc1', layer, h, own, 'mlp.fc1'))
    y = linear_after(methods, 'fc2', layer, z, own, 'mlp.fc2')
    last = f'blocks.{layer}.norm1.weight' not in state
    sequence.x = behind(methods, layer, last, sequence, x + beside(methods, 'mlp', layer, sequence, h, y))


def beyond(methods, layer, none, own):
    """Keys and values that are no tokens."""
    pairs = [(none, none)]
    for name, _, state in methods:
        if name == 'KeysAndValues':
            pairs.append((state['keys'][layer - 1], state['values'][layer - 1]))
        if name == 'ResTuning':
            prefix = (state[f'layers.{layer}.prefix_{kind}'] for kind in ('keys', 'values'))
            prompts = linear(state[f'layers.{layer}.prompts'], own, 'attn.qkv').chunk(3, 1)[1:]
            pairs.extend([tuple(prefix), prompts])
    return [torch.cat(each) for each in zip(*pairs)]


def of_places(own, head, sequence):
    """A bias of places, H×P×P with the class token first, as tokens have it: the mean over all pairs of their
    patches; none for prompts.
    """
    if 'attn.places' not in own:
        return 0.0
    places = [[] for _ in sequence.x]
    places[0].append(0)
    for patch, row in enumerate(sequence.sources):
        if row >= 0:
            places[row].append(1 + patch)
    table, found = own['attn.places'][head], torch.zeros(len(places), len(places), dtype=torch.float64)
    for i, mine in enumerate(places):
        for j, theirs in enumerate(places):
            found[i, j] = sum(table[a, b] for a in mine for b in theirs) / max(1, len(mine) * len(theirs))
    return found


def selected(methods, layer, own):
    """The block's parameters with the numbers that SelectedWeights has chosen in their places."""
    own = {key: value.clone() for key, value in own.items()}
    for state in (state for name, _, state in methods if name == 'SelectedWeights'):
        for place in SLICES:
            key, first = ('attn.qkv', 'qkv'.index(place)) if place in 'qkv' else (MATRICES[place], 0)
            values, index = (state[f'layers.{layer}.{place}.{kind}'] for kind in ('values', 'index'))
            for row, (numbers, columns) in enumerate(zip(values, index)):
                for number, column in zip(numbers, columns):
                    own[f'{key}.weight'][first * len(values) + row, int(column)] = number
    return own


def linear_after(methods, place, layer, x, own, name):
    return after(methods, place, layer, x, linear(x, own, name), own[f'{name}.weight'], own[f'{name}.bias'])


def after(methods, place, layer, x, y, weight=None, bias=None):
    """What follows an operator: LoRA's product, FacT's slices, RepAdapter's bottleneck, SSF's scale and shift; DoRA,
    first in the list, replaces it.
    """
    for name, options, own in methods:
        stem = f'layers.{layer}.{place}'
        if name == 'LoRA' and f'{stem}.up.weight' in own:
            y = (
                y
                + options['alpha'] / options['rank'] * (own[f'{stem}.up.weight'] @ own[f'{stem}.down.weight'] @ x.T).T
            )
        if name == 'DoRA' and f'{stem}.up.weight' in own:
            direction = (
                weight + options['alpha'] / options['rank'] * own[f'{stem}.up.weight'] @ own[f'{stem}.down.weight']
            )
            lengths = (direction**2).sum(1, keepdim=True).sqrt()
            y = x @ (own[f'{stem}.magnitude'][:, None] * direction / lengths).T + bias
        if name == 'NOAH' and place in 'qkv' and (rank := size_of(options, 'lora', layer)):
            own_up, width = own[f'layers.{layer}.lora.up.weight'], y.shape[1]
            rows = slice('qkv'.index(place) * width, ('qkv'.index(place) + 1) * width)
            y = y + x @ (own_up[rows, :rank] @ own[f'layers.{layer}.lora.down.weight'][:rank]).T
        if name in ('FacTTT', 'FacTTK') and place in SLICES:
            y = y + options['scale'] * factorised(own, name, layer, place, x, y.shape[1])
        if name == 'RepAdapter' and f'{stem}.up.weight' in own:
            y = y + options['scale'] * grouped(own, stem, y)
        if name == 'SSF' and f'{stem}.weight' in own:
            y = y * own[f'{stem}.weight'] + own[f'{stem}.bias']
    return y


def grouped(own, stem, h):
    """RepAdapter: a dense way down, and up in groups, each output from the hidden channels of its own group alone."""
    z, weight, rows = linear(h, own, f'{stem}.down'), own[f'{stem}.up.weight'], []
    groups = z.shape[1] // weight.shape[1]
    for channel, row in enumerate(weight):
        first = channel * groups // len(weight) * len(row)
        rows.append(z[:, first : first + len(row)] @ row + own[f'{stem}.up.bias'][channel])
    return torch.stack(rows, 1)


def factorised(own, name, layer, place, x, width_out):
    """FacT: slice by slice V Σ_i U; the slices of x and y that the matrix ends within are cut."""
    up, down, (rows, columns) = own['up.weight'], own['down.weight'], SLICES[place]
    width, rank = up.shape
    first = 12 * (layer - 1) + {'q': 0, 'k': 1, 'v': 2, 'proj': 3, 'fc1': 4, 'fc2': 8}[place]
    increments = []
    for row in range(rows):
        total = 0.0
        for column in range(columns):
            if name == 'FacTTT':
                sigma = own[f'layers.{layer}.{place}.weight'][
                    row * rank : (row + 1) * rank, column * rank : (column + 1) * rank
                ]
            else:
                sigma = sum(own['P'][k, first + row + column] * own['C'][:, :, k] for k in range(rank)).T
            part = x[:, column * width : (column + 1) * width]
            total = total + part @ (up @ sigma @ down[:, : part.shape[1]]).T
        increments.append(total)
    return torch.cat(increments, 1)[:, :width_out]


def beside(methods, place, layer, sequence, h, y):
    """What a branch gives to the residual sum: Adapter behind it, AdaptFormer and DyT's adapter beside the FFN.

    `sequence.x` is the residual stream that enters the branch, h its norm, y what the branch gives.
    """
    for name, options, own in methods:
        if name == 'Adapter' and f'layers.{layer}.{place}.up.weight' in own:
            y = y + linear(gelu(linear(y, own, f'layers.{layer}.{place}.down')), own, f'layers.{layer}.{place}.up')
        if name == 'NOAH' and place == 'mlp' and (width := size_of(options, 'adapter', layer)):
            down, up = (
                {kind: own[f'layers.{layer}.adapter.{part}.{kind}'] for kind in ('weight', 'bias')}
                for part in ('down', 'up')
            )
            z = quick_gelu(y @ down['weight'][:width].T + down['bias'][:width])
            y = y + z @ up['weight'][:, :width].T + up['bias']
        if name in ('AdaptFormer', 'DyTAdapter') and place == 'mlp':
            y = y + options['scale'] * linear(
                relu(linear(sequence.x, own, f'layers.{layer}.down')), own, f'layers.{layer}.up'
            )
        if name == 'DyTMoEAdapter' and place == 'mlp':
            y = y + options['scale'] * of_experts(own, f'layers.{layer}', sequence)
        if name == 'ResTuning' and place == 'mlp':
            y = y + linear(gelu(linear(h, own, f'layers.{layer}.adapter.down')), own, f'layers.{layer}.adapter.up')
        if name == 'ConvPass' and f'layers.{layer}.{place}.up.weight' in own:
            y = y + options['scale'] * convolved(own, f'layers.{layer}.{place}', sequence, h)
    return y


def of_experts(own, stem, sequence):
    """DyT's MoE-adapter: one bottleneck whose matrices and biases are the experts', each times its share in this
    image.
    """
    x, prefix, router = sequence.x, sequence.prefix, own[f'{stem}.router.weight']
    sizes = torch.tensor(sequence.sizes[prefix:], dtype=x.dtype)
    shares = softmax(router @ (sizes @ x[prefix:] / sizes.sum()))
    mixed = {}
    for name in ('down', 'up'):
        for kind in ('weight', 'bias'):
            stacked = own[f'{stem}.{name}.{kind}']
            length = len(stacked) // len(router)
            experts = [stacked[index * length : (index + 1) * length] for index in range(len(router))]
            mixed[f'{name}.{kind}'] = sum(share * expert for share, expert in zip(shares, experts))
    return linear(relu(linear(x, mixed, 'down')), mixed, 'up')


def convolved(own, stem, sequence, h):
    """ConvPass: patch by patch over the grid; a row is the mean over its patches, one of the prefix its own grid."""
    z, (height, width) = quick_gelu(linear(h, own, f'{stem}.down')), sequence.grid
    kernel, bias = own[f'{stem}.conv.weight'], own[f'{stem}.conv.bias']

    def at(top, left):
        total = bias
        for i in range(3):
            for j in range(3):
                y, x = top + i - 1, left + j - 1
                row = sequence.sources[y * width + x] if 0 <= y < height and 0 <= x < width else -1
                total = total + kernel[:, :, i, j] @ z[row] if row >= 0 else total
        return total

    rows = [kernel[:, :, 1, 1] @ z[row] + bias for row in range(sequence.prefix)]
    for row in range(sequence.prefix, len(h)):
        patches = [patch for patch, source in enumerate(sequence.sources) if source == row]
        rows.append(sum(at(*divmod(patch, width)) for patch in patches) / len(patches))
    return linear(quick_gelu(torch.stack(rows)), own, f'{stem}.up')


def behind(methods, layer, last, sequence, x):
    """What leaves a block: Adapter+ adds its own bottleneck, each channel times its factor; a bypass ends in the place
    of the last.
    """
    for name, _, own in methods:
        if name == 'ResTuningBypass':
            b = bypass(own, layer, x, sequence)
            x = b if last else x
        if name == 'AdapterPlus':
            x = x + own[f'layers.{layer}.scale'] * linear(
                gelu(linear(x, own, f'layers.{layer}.down')), own, f'layers.{layer}.up'
            )
    return x
