"""Cropr on one image, from its description (Bergner et al., CVPR 2025)."""

from .dense_adapter import arrived
from .sequence import Decision, keep


def cropr(options, state, layer, sequence):
    """Before block l, 1 < l < L: the rows whose product with the layer's query is lowest leave, `pruned` of them and
    one more before block 2; one patch stays. Before the last block all come back.
    """
    if layer == options['depth']:
        return Decision(back=True)
    if layer == 1:
        return None
    query = state[f'routers.{layer}.query'].reshape(-1)
    scores = [float(row @ query) for row in sequence.x[sequence.prefix :]]
    count = max(1, len(scores) - options['pruned'] - (layer == 2))
    if count >= len(scores):
        return None
    ranked = sorted(range(len(scores)), key=lambda row: -scores[row])
    margin = scores[ranked[count - 1]] - scores[ranked[count]]
    stays = [*range(sequence.prefix), *(sequence.prefix + row for row in sorted(ranked[:count]))]
    return Decision(keep(stays, len(sequence.x)), margin=margin)


def remember(sequence, outputs, reductions, layer):
    """Note what the rows that have just left had of earlier layers' outputs; give it to those that have come back.

    Whoever has come back gets zeros of a layer that ran without it. All outputs are then those of the present rows.
    """
    for left in (left for left in sequence.left.values() if 'outputs' not in left):
        rows = {born: arrived(outputs, reductions, born, layer - 1) for born in outputs}
        left['outputs'] = {born: own[left['row']] for born, own in rows.items()}
    if not sequence.returned:
        return
    for born in list(outputs):
        rows = arrived(outputs, reductions, born, layer)
        for patch, left in sequence.returned.items():
            if born in left['outputs']:
                rows[sequence.sources[patch]] = left['outputs'][born]
        outputs[born] = rows
    reductions.clear()
    sequence.returned = {}
