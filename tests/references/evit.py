"""EViT's reduction of one image as an explicit matrix S (N'×N): x ← S x."""

import math

import torch

from .scores import SCORES
from .sequence import Decision


def one_hot(position, length):
    return [1.0 if i == position else 0.0 for i in range(length)]


def reduction(scores, prefix, keep_rate, fuse, normalize):
    """Build S from one score per patch.

    Args:
        scores: of each row after the prefix, in sequence order; in EViT itself what the class row pays to it.
        prefix: rows at the head that always stay.
        fuse: 'merge' (weighted sum of what leaves), 'argmax' (the best of what leaves, as it is) or 'drop'.
        normalize: whether merge's weights sum to one.

    Returns:
        S, and the smallest score difference that decided something (a tie would make the choice arbitrary); None if
        all rows stay.
    """
    count, length = len(scores), prefix + len(scores)
    keep = math.ceil(keep_rate * count)
    if keep == count:
        return None
    ranked = sorted(range(count), key=lambda i: -float(scores[i]))
    leaving = ranked[keep:]
    margin = float(scores[ranked[keep - 1]] - scores[leaving[0]])

    rows = [one_hot(i, length) for i in range(prefix)]
    rows += [one_hot(prefix + i, length) for i in sorted(ranked[:keep])]
    matrix = torch.tensor(rows, dtype=torch.float64)
    if fuse == 'argmax':
        last = torch.tensor(one_hot(prefix + leaving[0], length), dtype=torch.float64)
        if len(leaving) > 1:
            margin = min(margin, float(scores[leaving[0]] - scores[leaving[1]]))
    elif fuse == 'merge':
        total = sum(scores[i] for i in leaving) if normalize else 1.0
        last = torch.stack(
            [scores[i - prefix] / total if i - prefix in leaving else scores[0] * 0 for i in range(length)]
        )
    else:
        return matrix, margin
    return torch.cat([matrix, last[None]]), margin


def evit(options, state, layer, sequence):
    """Decide at the layers named, by the score named."""
    options = dict(keep_rate=0.7, fuse='merge', normalize=True, score='class') | options
    if layer not in options['layers']:
        return None
    scores = SCORES[options['score']](sequence)[sequence.prefix :]
    found = reduction(scores, sequence.prefix, options['keep_rate'], options['fuse'], options['normalize'])
    return None if found is None else Decision(matrix=found[0], margin=found[1])
