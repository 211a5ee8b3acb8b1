"""The contract of a token sparsifier: it decides which rows stay, `mmsparse.tokens.reduce` executes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from mmsparse.errors import InputError
from mmsparse.tokens import Plan, Tokens

from ..attention import Probe
from ..views.base import View


def kept(patches: int, keep_rate: float) -> int:
    """Return ceil(rate·patches), as EViT counts; in Python floats, because float32 rounds differently."""
    return math.ceil(keep_rate * patches)


class BaseSparsifier(nn.Module):
    """A sparsifier that acts at some layers.

    Args:
        view: the host's view (width, depth, grid, prefix).
        layers: where to reduce, counted from 1, rising.
        keep_rate: share of the present patches that stay at each of them, in (0, 1].

    Attributes:
        stage: 'before' or 'after' attention.
        reads_rows: True if the method uses all rows of the last block's output.

    Raises:
        InputError: a layer the host does not have, a layer named twice, a rate outside (0, 1].
    """

    stage = 'after'
    reads_rows = False

    def __init__(self, view: View, layers: Sequence[int], keep_rate: float):
        super().__init__()
        name = type(self).__name__
        wrong = [layer for layer in layers if isinstance(layer, bool) or not isinstance(layer, int) or not 1 <= layer <= view.depth]
        if wrong:
            raise InputError(f'{name}: received layers={tuple(layers)}; {wrong} are not layers of this host. Layers count from 1 to {view.depth}.')
        if any(b <= a for a, b in zip(layers, layers[1:])):
            raise InputError(f'{name}: received layers={tuple(layers)}, expected each layer once, in rising order.')
        if isinstance(keep_rate, bool) or not isinstance(keep_rate, (int, float)) or not 0 < keep_rate <= 1:
            raise InputError(
                f'{name}: keep_rate must lie in (0, 1], received {keep_rate!r}. For no reduction leave out the sparsifier or use keep_rate=1.0.'
            )
        self.layers, self.keep_rate = tuple(layers), float(keep_rate)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Say where the rows go, or None where nothing changes.

        Args:
            layer: counted from 1.
            tokens: the present sequence; after attention for stage 'after'.
            probe: the attention of this layer; None before attention, or after another sparsifier has changed the rows.
        """
        raise NotImplementedError
