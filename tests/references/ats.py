"""Adaptive Token Sampling on one image (Fayyaz et al., ECCV 2022): how many stay depends on the image."""

import math

from .sequence import Decision, keep


def chosen(scores, count):
    """Positions that stay, rising, and how clear that was.

    The scores, divided by their sum and sorted upwards, add up to a cumulative curve, which is scaled so that its
    first value is 0 and its last 1. It is read at `count` heights 1/2K, 3/2K, …, (2K-1)/2K: each takes the row whose
    value is nearest. A row taken twice counts once.
    """
    total = sum(scores)
    upwards = sorted(range(len(scores)), key=lambda i: scores[i])
    curve, running = [], 0.0
    for i in upwards:
        running += scores[i] / total
        curve.append(running)
    if len(curve) == 1:
        return [0], math.inf
    curve = [(value - curve[0]) / (curve[-1] - curve[0]) for value in curve]
    margin = min((scores[b] - scores[a]) / total for a, b in zip(upwards, upwards[1:]))
    taken = set()
    for step in range(count):
        height = (2 * step + 1) / (2 * count)
        nearest = sorted(range(len(curve)), key=lambda place: abs(curve[place] - height))
        margin = min(margin, abs(curve[nearest[1]] - height) - abs(curve[nearest[0]] - height))
        taken.add(upwards[nearest[0]])
    return sorted(taken), margin


def ats(options, state, layer, sequence):
    """After attention: at most ceil(rate · patches that this image still has). A score is Σ_heads A[class, row] ·
    |value of the row|; with score='received' Σ over heads and all rows of the sequence, prefix and the row itself
    included, that ask.

    A rate of 1 asks for nothing: all rows stay.
    """
    if layer not in options['layers'] or options['keep_rate'] == 1:
        return None
    weights = sequence.look.weights
    paid = weights.sum((0, 1)) if options.get('score') == 'received' else weights[:, 0].sum(0)
    lengths = (sequence.look.values**2).sum(-1).sqrt()
    scores = [float(score) for score in (paid * lengths)[sequence.prefix :]]
    rows, margin = chosen(scores, math.ceil(options['keep_rate'] * len(scores)))
    return Decision(
        keep([*range(sequence.prefix), *(sequence.prefix + row for row in rows)], len(sequence.x)), margin=margin
    )
