"""Networks beside the frozen one, written as loops over layers: Res-Tuning-Bypass, and SynQT's queries."""

import torch

from .parts import gelu, linear, normalise, softmax


def bottleneck(own, stem, u):
    return linear(gelu(linear(u, own, f'{stem}.down')), own, f'{stem}.up')


def bypass(own, layer, x, sequence):
    """b_l from x_l: b_{l-1} is brought to the present rows by the matrices of every reduction since."""
    b, seen = sequence.bypass
    for step in sequence.steps[seen:]:
        b = step.matrix @ b
    stem = f'layers.{layer}'
    b = x + bottleneck(own, f'{stem}.lateral', x) + b + bottleneck(own, f'{stem}.vertical', b)
    sequence.bypass = b, len(sequence.steps)
    return b


def layer_norm(own, stem, u, eps=1e-5):
    return normalise(u, own[f'{stem}.weight'], own[f'{stem}.bias'], eps)


def residual(own, stem, u):
    return u + bottleneck(own, stem, u)


def query_by_query(own, host, layer, k, v, heads, bias, told):
    """SynQT in one layer: queries synthesised from what was told before, then each for itself through the host's block.

    `host` are the block's parameters, k and v those of the rows, `told` the layers' (o, h, f) so far.
    """
    stem, width = f'layers.{layer}', k.shape[1]
    u = own[f'{stem}.queries']
    u = residual(own, f'{stem}.enter', u + own['feature_scale'] * told[-1][0] if told else u)
    n = layer_norm(own, f'{stem}.norm1', u)
    asked = residual(own, f'{stem}.q', layer_norm(own, f'{stem}.q_norm', n))
    others = layer_norm(own, f'{stem}.kv_norm', n)
    among = softmax(asked @ residual(own, f'{stem}.k', others).T / width**0.5)
    mixed = residual(own, f'{stem}.out', among @ residual(own, f'{stem}.v', others))
    u = u + own[f'{stem}.attention_scale'] * mixed
    u = u + own[f'{stem}.ffn_scale'] * residual(own, f'{stem}.ffn', layer_norm(own, f'{stem}.norm2', u))
    found, size = [], width // heads
    for p in u:
        p = p[None]
        n = normalise(layer_norm(own, f'{stem}.pre_norm', p), host['norm1.weight'], host['norm1.bias'])
        q = linear(n, host, 'attn.qkv')[:, :width]
        parts = [slice(head * size, (head + 1) * size) for head in range(heads)]
        o = torch.cat([softmax(q[:, i] @ k[:, i].T / size**0.5 + bias) @ v[:, i] for i in parts], 1)
        h = linear(o, host, 'attn.proj')
        p = p + h
        f = linear(
            gelu(linear(normalise(p, host['norm2.weight'], host['norm2.bias']), host, 'mlp.fc1')), host, 'mlp.fc2'
        )
        found.append((p + f, h, f))
    told.append([sum(each) / len(found) for each in zip(*found)])


def combined(own, told):
    """The image's vector, from every layer's three."""
    own = {key.removeprefix('combination.'): value for key, value in own.items() if key.startswith('combination.')}
    features = [told[-1][0]] + [layer[index] for index in range(3) for layer in told]
    features = [f + residual(own, 'residual', layer_norm(own, 'norm', f)) for f in features]
    condition = gelu(linear(features[0], own, 'condition'))[0].tanh()
    total = own['weights'][0] * features[0]
    for weight, c, feature in zip(own['weights'][1:], condition, features[1:]):
        total = total + weight * c * feature
    return layer_norm(own, 'head_norm', total / len(features))
