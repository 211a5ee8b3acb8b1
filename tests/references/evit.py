"""EViT's reduction of one image as an explicit matrix S (N'×N): x ← S x."""

import math

import torch


def one_hot(position, length):
    return [1.0 if i == position else 0.0 for i in range(length)]


def reduction(scores, prefix, keep_rate, fuse, normalize):
    """Build S from the class row's attention.

    Args:
        scores: attention that the class row pays to each row after the prefix, in sequence order.
        prefix: rows at the head that always stay.
        fuse: 'merge' (weighted sum of what leaves), 'argmax' (the most attended of what leaves, as it is) or 'drop'.
        normalize: whether merge's weights sum to one.

    Returns:
        S, and the smallest score difference that decided something (a tie would make the choice arbitrary); None if all rows stay.
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
        last = torch.stack([scores[i - prefix] / total if i - prefix in leaving else scores[0] * 0 for i in range(length)])
    else:
        return matrix, margin
    return torch.cat([matrix, last[None]]), margin


def follow(sources, sizes, matrix, prefix):
    """Move each patch's row (-1: gone) and each row's patch count through S."""

    def destination(row):
        hit = [i for i in range(matrix.shape[0]) if matrix[i, row] != 0]
        return hit[0] if hit else -1

    moved = [0 if i >= prefix else 1 for i in range(matrix.shape[0])]
    for row in range(prefix, matrix.shape[1]):
        if destination(row) >= 0:
            moved[destination(row)] += sizes[row]
    return [destination(row) if row >= 0 else -1 for row in sources], moved
