"""Dense Adapter on one image: every earlier output is carried to the present rows by explicit matrices at the moment
it is read.
"""

import torch

from .parts import linear, normalise, relu


def arrived(outputs, reductions, born, layer):
    """The output of layer `born` after every reduction met since, the one of `layer` included."""
    rows = outputs[born]
    for met in range(born + 1, layer + 1):
        if met in reductions:
            rows = reductions[met] @ rows
    return rows


def beside(clip, place, other, born, layer):
    """What the rows of one frame find in another: zeros where there is no such frame, or no row for a patch."""
    sequence, outputs, reductions = clip[place]
    found = torch.zeros_like(arrived(outputs, reductions, born, layer))
    if not 0 <= other < len(clip):
        return found
    far, *told = clip[other]
    theirs = arrived(*told, born, layer)
    for row in range(len(found)):
        if row < sequence.prefix:
            found[row] = theirs[row]
        else:
            patches = [patch for patch, own in enumerate(sequence.sources) if own == row]
            values = [theirs[far.sources[patch]] for patch in patches if far.sources[patch] >= 0]
            found[row] = sum(values) / len(patches) if values else 0.0
    return found


def dense_adapter(
    state,
    layer,
    x,
    clip,
    place,
    fusion='inner',
    inputs=('x', 'prev', 'skip'),
    skip=3,
    norm=None,
    scale=1.0,
    cross_frame=False,
):
    """What the adapter of `layer` (counted from 1) adds beside the FFN.

    Args:
        state: the adapter's parameters by name, float64.
        x: rows after attention and after this layer's reduction.
        clip: of each frame its Sequence, {layer: adapter output as it was produced} and {layer: S}, those met so far.
        place: of this frame in it.
    """
    _, outputs, reductions = clip[place]
    own = f'layers.{layer}'
    given = {}
    if 'x' in inputs:
        given['x'] = normalise(x, state[f'{own}.norm.weight'], state[f'{own}.norm.bias']) if norm == 'in' else x
    if 'prev' in inputs and layer > 1:
        given['prev'] = arrived(outputs, reductions, layer - 1, layer)
    if 'skip' in inputs and layer > skip:
        given['skip'] = arrived(outputs, reductions, layer - skip, layer)

    if fusion == 'inner':
        hidden = sum(linear(rows, state, f'{own}.down.{name}') for name, rows in given.items())
        for link, distance in (('prev', 1), ('skip', skip)) if cross_frame else ():
            for which, step in (('before', -1), ('after', 1)) if link in given else ():
                rows = beside(clip, place, place + step, layer - distance, layer)
                hidden = hidden + rows @ state[f'{own}.cross.{link}_{which}.weight'].T
        return scale * linear(relu(hidden), state, f'{own}.up')
    if fusion == 'early':
        return scale * linear(relu(linear(sum(given.values()), state, f'{own}.down')), state, f'{own}.up')
    assert fusion == 'late', fusion
    return sum(
        scale * linear(relu(linear(rows, state, f'{own}.down.{name}')), state, f'{own}.up.{name}')
        for name, rows in given.items()
    )
