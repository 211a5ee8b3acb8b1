"""Dense Adapter on one image: every earlier output is carried to the present rows by explicit matrices at the moment
it is read.
"""

from .parts import linear, normalise, relu


def arrived(outputs, reductions, born, layer):
    """The output of layer `born` after every reduction met since, the one of `layer` included."""
    rows = outputs[born]
    for met in range(born + 1, layer + 1):
        if met in reductions:
            rows = reductions[met] @ rows
    return rows


def dense_adapter(
    state, layer, x, outputs, reductions, fusion='inner', inputs=('x', 'prev', 'skip'), skip=3, norm=None, scale=1.0
):
    """What the adapter of `layer` (counted from 1) adds beside the FFN.

    Args:
        state: the adapter's parameters by name, float64.
        x: rows after attention and after this layer's reduction.
        outputs: {layer: adapter output as it was produced}.
        reductions: {layer: S}, those met so far.
    """
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
        return scale * linear(relu(hidden), state, f'{own}.up')
    if fusion == 'early':
        return scale * linear(relu(linear(sum(given.values()), state, f'{own}.down')), state, f'{own}.up')
    assert fusion == 'late', fusion
    return sum(
        scale * linear(relu(linear(rows, state, f'{own}.down.{name}')), state, f'{own}.up.{name}')
        for name, rows in given.items()
    )
