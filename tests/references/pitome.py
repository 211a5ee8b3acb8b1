"""PiToMe's ranking and pairs of one image, from its description (Tran et al., NeurIPS 2024)."""

import math

import torch

from .sequence import Decision


def energies(unit, margin):
    """How much a row resembles all rows: mean of f(cosine − m), f(x) = x above 0, exp(x) − 1 below."""
    found = []
    for one in unit:
        above = [float(one @ other) - margin for other in unit]
        found.append(sum(x if x > 0 else math.exp(x) - 1 for x in above) / len(above))
    return found


def pitome(options, state, layer, sequence):
    """Merge after attention, in every layer: of n patches n − ceil(rate·n) leave, half of them at most.

    The 2k rows of highest energy are split by rank: even ones leave, each into the odd one whose key has the highest
    cosine with its own. The margin is .9 − .9·l/L, l from 0. Survivors keep their order.
    """
    patches = len(sequence.x) - sequence.prefix
    k = min(patches - math.ceil(options['keep_rate'] * patches), patches // 2)
    if k <= 0:
        return None
    keys = sequence.look.keys.mean(0)[sequence.prefix :]
    unit = keys / (keys**2).sum(-1, keepdim=True).sqrt()
    energy = energies(unit, 0.9 - 0.9 * (layer - 1) / options['depth'])
    ranked = sorted(range(patches), key=lambda row: -energy[row])
    # two alone resemble each other alike, and either joins the other to the same effect
    ties = zip(ranked[: 2 * k], ranked[1:]) if patches > 2 else ()
    clear = min((energy[a] - energy[b] for a, b in ties), default=math.inf)
    sources, targets = ranked[: 2 * k : 2], ranked[1 : 2 * k : 2]
    joins = {}
    for source in sources:
        near = sorted(((float(unit[source] @ unit[target]), target) for target in targets), reverse=True)
        joins[sequence.prefix + source] = sequence.prefix + near[0][1]
        clear = min(clear, near[0][0] - near[1][0] if len(near) > 1 else math.inf)
    rows = []
    for row in (row for row in range(len(sequence.x)) if row not in joins):
        members = [row, *(source for source, target in joins.items() if target == row)]
        total = sum(sequence.sizes[member] for member in members)
        rows.append([sequence.sizes[i] / total if i in members else 0.0 for i in range(len(sequence.x))])
    return Decision(matrix=torch.tensor(rows, dtype=torch.float64), margin=clear)
