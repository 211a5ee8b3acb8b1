"""Networks beside the frozen one, written as loops over layers: Res-Tuning-Bypass."""

from .parts import gelu, linear


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
