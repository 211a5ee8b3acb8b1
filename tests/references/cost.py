"""Multiply-adds of a plain ViT with EViT and Dense Adapter, by arithmetic alone: 1 per multiply-add, 5 per element of
a LayerNorm.
"""

import math


def evit(depth, width, rows, patch, classes, layers=(), keep_rate=1.0, fuse='merge', bottleneck=0, skip=3, real=False):
    """The whole cost and, by layer and part, a dict {(layer, part): multiply-adds}.

    Args:
        rows: class token included.
        patch: pixels of a patch's side.
        real: what runs: the probe's row at each reduction, and the class token alone in the last block once its keys
            and values are there.
    """
    cost = {(None, 'embed'): (rows - 1) * patch * patch * 3 * width}
    for layer in range(1, depth + 1):
        short = real and layer == depth
        asking = 1 if short else rows
        norm = 5 * rows * width
        cost[layer, 'attention'] = norm + 2 * (rows + asking) * width**2 + 2 * asking * rows * width
        patches = rows - 1
        if layer in layers and math.ceil(keep_rate * patches) < patches and not short:
            if real:
                cost[layer, 'sparsifier'] = rows * width
            rows = 1 + math.ceil(keep_rate * patches) + (fuse != 'drop')
        inside = 1 if short else rows
        cost[layer, 'ffn'] = 5 * inside * width + 8 * inside * width**2
        if bottleneck:
            inputs = 1 + (layer > 1) + (layer > skip)
            cost[layer, 'adapter'] = inside * width * bottleneck * (inputs + 1)
    cost[None, 'head'] = 5 * (1 if real else rows) * width + width * classes
    return sum(cost.values()), cost
