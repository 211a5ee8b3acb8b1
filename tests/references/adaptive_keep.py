"""AdaptiveKeep on one image: the smallest set of patches that holds a share of the scores; the rest becomes one row."""

import math

import torch

from .evit import one_hot
from .scores import SCORES
from .sequence import Decision


def share_at(curve, keep_rate):
    """Where the curve, through points whose shares lie at 1 - (1 - i/n)², reaches the rate: by straight lines."""
    last = len(curve) - 1
    shares = [1 - (1 - place / last) ** 2 for place in range(len(curve))]
    place = next((place for place in range(1, last) if curve[place] >= keep_rate), last)
    low, high = curve[place - 1], curve[place]
    way = min(max((keep_rate - low) / (high - low), 0), 1) if high > low else 0
    return shares[place - 1] + (shares[place] - shares[place - 1]) * way


def smallest(scores, share, bounds):
    """Positions, the highest score first, until they hold the share; no fewer and no more than the bounds say. And how
    clear that was: how far the sums before and with the last one lie from the share, and its score from the next."""
    total, count = sum(scores), len(scores)
    ranked = sorted(range(count), key=lambda i: -scores[i])
    held = [sum(scores[i] for i in ranked[: n + 1]) / total for n in range(count)]
    needed = next((n + 1 for n in range(count) if held[n] >= share), count)
    least, most = max(1, math.ceil(bounds[0] * count)), math.ceil(bounds[1] * count)
    keep = min(max(needed, least), most)
    margin = min(abs(value - share) for value in held)
    if keep < count:
        margin = min(margin, (scores[ranked[keep - 1]] - scores[ranked[keep]]) / total)
    return sorted(ranked[:keep]), margin


def adaptive_keep(options, state, layer, sequence):
    """Decide at the layers named, by the score named."""
    options = dict(keep_rate=0.7, bounds=(0.0, 1.0), score='class') | options
    if layer not in options['layers'] or options['keep_rate'] == 1:
        return None
    prefix, length = sequence.prefix, len(sequence.x)
    scores = SCORES[options['score']](sequence)[prefix:]
    curve = state['kept_ls'][options['layers'].index(layer)].double().tolist()
    stays, margin = smallest(
        [float(s.detach()) for s in scores], share_at(curve, options['keep_rate']), options['bounds']
    )
    rows = [one_hot(i, length) for i in [*range(prefix), *(prefix + row for row in stays)]]
    matrix = torch.tensor(rows, dtype=torch.float64)
    leaving = [row for row in range(len(scores)) if row not in stays]
    if leaving:
        total = sum(scores[i] for i in leaving)
        share = [scores[i - prefix] / total if i - prefix in leaving else scores[0] * 0 for i in range(length)]
        matrix = torch.cat([matrix, torch.stack(share)[None]])
    return Decision(matrix=matrix, margin=margin)
