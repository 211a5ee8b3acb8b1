"""Tables of position embeddings at another grid. Grids are compared, not numbers of patches: 24×24 are as many as 18×32."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.utils.value_checks import is_list, is_whole

Grid = tuple[int, int]


def checked_grid(given: object, checkpoint: object) -> Grid | None:
    """Return what a config names as the grid of a file's positions.

    Raises:
        InputError: no two whole numbers, or no file that it could belong to.
    """
    if given is None:
        return None
    if not (is_list(given) and len(given) == 2 and all(is_whole(side) and side > 0 for side in given)):
        raise InputError(f'host.checkpoint_grid: received {given!r}, expected the patches (rows, columns) that positions were trained for.')
    if not isinstance(checkpoint, str):
        raise InputError(f'host.checkpoint_grid: received {given!r} without a file that it describes. Set host.checkpoint, or leave it out.')
    return tuple(given)


def source_grid(table: Tensor, prefix: int, given: Sequence[int] | None, path: str) -> Grid:
    """Return the grid (rows, columns) of a file's table: its own (SAM's have one), the one given, or else a square.

    Args:
        table: 1×h×w×C, or …×rows×C, those of the prefix first.
        prefix: rows of it that are no patches.
        given: by the config, or None.
        path: for messages.

    Raises:
        InputError: the number of patches is no square, or not that of the given grid.
    """
    if table.ndim == 4:
        return tuple(table.shape[1:3])
    patches = table.shape[-2] - prefix
    side = math.isqrt(max(patches, 0))
    grid = (side, side) if given is None else tuple(given)
    if math.prod(grid) != patches:
        told = f'host.checkpoint_grid={grid} does not fit' if given else 'they make no square'
        raise InputError(
            f'{path}: it has positions for {patches} patches (and {prefix} other rows), but {told}. Set host.checkpoint_grid=(rows, columns) to the '
            'grid that they were trained for, or name the host of this file.'
        )
    return grid


def resampled(table: Tensor, own: Grid, grid: Grid, prefix: int, mode: str = 'bicubic', antialias: bool = True) -> Tensor:
    """Resize a table as timm and open_clip resize checkpoints.

    Args:
        table: 1×h×w×C, or 1×(prefix + h·w)×C.
        own: its grid.
        grid: wanted.
        prefix: rows that stay as they are.
        mode, antialias: as for torch's `interpolate`.
    """
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc

    if table.ndim == 4:
        return resample_abs_pos_embed_nhwc(table, grid, mode, antialias)
    return resample_abs_pos_embed(table, list(grid), list(own), prefix, mode, antialias)
