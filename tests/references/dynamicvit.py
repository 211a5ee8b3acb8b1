"""DynamicViT's prediction head and its two ways to drop (Rao et al., NeurIPS 2021)."""

import torch

from .parts import gelu, linear, normalise, softmax
from .sequence import Decision, keep


def log_keep(state, layer, x):
    """Log-probability to keep of each of the patches x, M×D. The second half of the channels is replaced by its mean
    over them.
    """
    own = f'predictors.{layer}'
    local = gelu(
        linear(normalise(x, state[f'{own}.norm.weight'], state[f'{own}.norm.bias'], eps=1e-5), state, f'{own}.local')
    )
    half = x.shape[1] // 2
    hidden = torch.stack([torch.cat([row[:half], local[:, half:].mean(0)]) for row in local])
    hidden = gelu(linear(gelu(linear(hidden, state, f'{own}.head.0')), state, f'{own}.head.2'))
    return torch.log(softmax(linear(hidden, state, f'{own}.head.4')))[:, 0]


def dynamicvit(options, state, layer, sequence):
    """Evaluation: before the block, keep int(rate · original patches) of the present ones."""
    if layer not in options['layers']:
        return None
    scores = log_keep(state, layer, sequence.x[sequence.prefix :])
    count = int(options['keep_rates'][list(options['layers']).index(layer)] * len(sequence.sources))
    ranked = sorted(range(len(scores)), key=lambda i: -float(scores[i]))
    if count >= len(ranked):
        return None
    rows = [*range(sequence.prefix), *(sequence.prefix + i for i in sorted(ranked[:count]))]
    return Decision(keep(rows, len(sequence.x)), margin=float(scores[ranked[count - 1]] - scores[ranked[count]]))


def given_masks(options, state, layer, sequence):
    """Training: nothing leaves; options['masks'][layer][image] says which patches are alive. They stay dead."""
    if layer not in options['masks']:
        return None
    return Decision(alive=[1.0] * sequence.prefix + [float(value) for value in options['masks'][layer][sequence.item]])


def given_rows(options, state, layer, sequence):
    """Keep what options['rows'][layer][image] lists, present rows without the prefix: for choices that are drawn, or
    made elsewhere.
    """
    if layer not in options['rows']:
        return None
    rows = options['rows'][layer][sequence.item]
    return Decision(keep([*range(sequence.prefix), *(sequence.prefix + row for row in rows)], len(sequence.x)))
