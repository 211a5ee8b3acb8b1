"""ToMe's bipartite matching of one image, from its description (Bolya et al., ICLR 2023), and PYRA's re-activation of
what is merged.
"""

import torch

from .parts import normalise
from .sequence import Decision


def counts(r, inflect, depth):
    """Rows to merge in each layer: as listed; or on a line from r(1 - inflect), truncated, with r as its middle; all
    truncated.
    """
    if not isinstance(r, int):
        return list(r)
    first = int(r * (1 - inflect))
    step = (2 * r - 2 * first) / (depth - 1)
    return [int(first + step * layer) for layer in range(depth)]


def edges(sequence, r):
    """The r strongest edges (source, destination), strongest first, and how clear that was.

    Rows are compared by the cosine of their head-mean keys. Positions count from the first row of the sequence: even
    ones are sources, odd ones destinations, those in the prefix neither.
    """
    rows = range(sequence.prefix, len(sequence.x))
    evens, odds = [i for i in rows if i % 2 == 0], [i for i in rows if i % 2 == 1]
    r = min(r, len(rows) // 2)
    if r <= 0:
        return [], float('inf')
    metric = sequence.look.keys.mean(0)
    metric = metric / (metric**2).sum(-1, keepdim=True).sqrt()
    best, margin = [], float('inf')
    for source in evens:
        ranked = sorted(((float(metric[source] @ metric[other]), other) for other in odds), reverse=True)
        best.append((*ranked[0], source, ranked[0][0] - ranked[1][0] if len(ranked) > 1 else float('inf')))
    best.sort(reverse=True)
    for place in range(r):
        margin = min(margin, best[place][3])
        if place + 1 < len(best):
            margin = min(margin, best[place][0] - best[place + 1][0])
    return [(source, destination) for _, destination, source, _ in best[:r]], margin


def merging(found, sizes, prefix):
    """S that adds each source to its destination: the mean over all patches behind the new row.

    The order decides who may merge next: the prefix, the even positions that stay, the odd ones.
    """
    gone = {source for source, _ in found}
    evens, odds = ([row for row in range(prefix, len(sizes)) if row % 2 == parity] for parity in (0, 1))
    rows = []
    for row in [*range(prefix), *(row for row in evens if row not in gone), *odds]:
        members = [row] + [source for source, destination in found if destination == row]
        total = sum(sizes[member] for member in members)
        rows.append([sizes[i] / total if i in members else 0.0 for i in range(len(sizes))])
    return torch.tensor(rows, dtype=torch.float64)


def tome(options, state, layer, sequence):
    """Merge after attention, in every layer with a count above 0."""
    r = counts(options.get('r', 8), options.get('inflect', 0.0), options['depth'])[layer - 1]
    found, margin = edges(sequence, r)
    return Decision(matrix=merging(found, sequence.sizes, sequence.prefix), margin=margin) if found else None


def pyra(options, state, layer, sequence):
    """ToMe, with its sources re-activated first.

    M = x·size. Of each edge, strongest first: I = LayerNorm(M_s + M_t), r×D. w_channel = 2σ(aᵀI), w_token = 2σ(I bᵀ) -
    1. M_s ← M_s + (M_s ⊙ w_channel) ⊙ w_token; the destinations' own rows are not edited.
    """
    r = counts(options['r'], options.get('inflect', 0.0), options['depth'])[layer - 1]
    found, margin = edges(sequence, r)
    if not found:
        return None
    own, sizes = f'layers.{layer}', sequence.sizes
    joined = torch.stack([sequence.x[s] * sizes[s] + sequence.x[t] * sizes[t] for s, t in found])
    joined = normalise(joined, state[f'{own}.norm.weight'], state[f'{own}.norm.bias'], eps=1e-5)
    tokens, channels = state[f'{own}.tokens'].reshape(-1), state[f'{own}.channels'].reshape(-1)
    per_channel = 2 / (1 + torch.exp(-(tokens @ joined)))
    per_token = 2 / (1 + torch.exp(-(joined @ channels))) - 1
    rows = list(sequence.x)
    for place, (source, _) in enumerate(found):
        rows[source] = rows[source] + rows[source] * per_channel * per_token[place]
    return Decision(matrix=merging(found, sizes, sequence.prefix), edited=torch.stack(rows), margin=margin)
