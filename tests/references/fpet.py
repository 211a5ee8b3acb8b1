"""FPET's one merge of one image, from its description (Kim et al., CVPR 2025)."""

import math

import torch

from .sequence import Decision

GRIDS = {16: (4, 4), 24: (4, 6)}  # of the small hosts


def fields(patches, grid):
    """The rows of white and of black fields: of a checkerboard where all patches of the grid are there, else even and
    odd places.
    """
    colours = [
        (row // grid[1] + row % grid[1]) % 2 if patches == grid[0] * grid[1] else row % 2 for row in range(patches)
    ]
    return ([row for row in range(patches) if colours[row] == colour] for colour in (0, 1))


def fpet(options, state, layer, sequence):
    """Behind the attention of one layer every white row joins the black one that its refined key resembles most.

    Refined: k + W_up relu(W_down k) of head-mean keys; resemblance is their cosine. Black rows keep their order.
    """
    patches = len(sequence.x) - sequence.prefix
    if layer != options.get('layer', options['depth'] // 2 + 1) or patches < 2:
        return None
    whites, blacks = fields(patches, GRIDS[len(sequence.sources)])
    keys = sequence.look.keys.mean(0)[sequence.prefix :]
    keys = keys + torch.relu(keys @ state['match.down.weight'].T) @ state['match.up.weight'].T
    unit = keys / (keys**2).sum(-1, keepdim=True).sqrt()
    joins, clear = {}, math.inf
    for white in whites:
        near = sorted(((float(unit[white] @ unit[black]), black) for black in blacks), reverse=True)
        joins[white] = near[0][1]
        clear = min(clear, near[0][0] - near[1][0] if len(near) > 1 else math.inf)
    rows = [[float(i == row) for i in range(len(sequence.x))] for row in range(sequence.prefix)]
    for black in blacks:
        members = [sequence.prefix + row for row in (black, *(white for white in whites if joins[white] == black))]
        total = sum(sequence.sizes[member] for member in members)
        rows.append([sequence.sizes[i] / total if i in members else 0.0 for i in range(len(sequence.x))])
    return Decision(matrix=torch.tensor(rows, dtype=torch.float64), margin=clear)
