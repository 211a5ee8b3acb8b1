"""Tables of position embeddings at another grid. Grids are compared, not numbers of patches: 24×24 are as many as 18×32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from mmengine.logging import print_log
from torch import Tensor, nn

from mmsparse.errors import InputError, refuse
from mmsparse.utils.value_checks import is_list, is_whole

Grid = tuple[int, int]  # patches: rows, columns


def checked_grid(given: object, checkpoint: object) -> Grid | None:
    """Return what a config names as the grid of a file's positions.

    Raises:
        InputError: no two whole numbers, or no file that it could belong to.
    """

    def faults() -> Iterator[str]:
        received = f'host.checkpoint_grid: received {given!r}'
        if not (is_list(given) and len(given) == 2 and all(is_whole(side) and side > 0 for side in given)):
            yield f'{received}, expected the patches (rows, columns) that positions were trained for.'
        if not isinstance(checkpoint, str):
            yield f'{received} without a file that it describes. Set host.checkpoint, or leave it out.'

    if given is None:
        return None
    refuse(faults())
    return tuple(given)


def fit_positions(
    host: nn.Module,
    key: str,
    grid: Grid,
    prefix: int,
    state: dict[str, Tensor],
    given: Grid | None,
    path: str,
    resize: Callable[[Tensor, Grid, Grid, int], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Resize the table of positions in the weights of a file to the grid of the host; `state` is changed, and the user told.

    Args:
        host, key: the model, and the name of its table.
        grid: wanted.
        prefix: rows of the table that stand for prefix tokens, before those of the patches.
        state: tensors of the file by the host's names.
        given: grid that the config names for the file, or None: a square.
        path: for messages.
        resize: the rule of the host's library, as `resampled`.

    Returns:
        The table as it stands in the file, in the type of the host's, by its name; nothing where it already fits.

    Raises:
        InputError: the number of patches in the file is no square, or not that of the given grid.
    """
    table, own = state.get(key), getattr(host, key, None)
    if table is None or own is None:
        return {}
    source, wanted = source_grid(table, prefix, given, path), tuple(grid)
    if source == wanted:
        return {}
    print_log(f'{path}: its positions for {source} patches were resized to {wanted}.', 'current')
    state[key] = (resize or resampled)(table, source, wanted, prefix)
    return {key: table.to(own.dtype)}


def source_grid(table: Tensor, prefix: int, given: Grid | None, path: str) -> Grid:
    """Return the grid of a file's table, 1×h×w×C (SAM) or …×N×C: its own, the one given, or else a square."""
    if table.ndim == 4:
        return tuple(table.shape[1:3])
    patches = table.shape[-2] - prefix
    side = math.isqrt(max(patches, 0))
    grid = given or (side, side)
    if math.prod(grid) != patches:
        told = f'host.checkpoint_grid={grid} does not fit' if given else 'they make no square'
        raise InputError(
            f'{path}: it has positions for {patches} patches (and {prefix} other rows), but {told}. '
            'Set host.checkpoint_grid=(rows, columns) to the grid that they were trained for, or name the host of this file.'
        )
    return grid


def resampled(table: Tensor, own: Grid, grid: Grid, prefix: int, mode: str = 'bicubic', antialias: bool = True) -> Tensor:
    """Resize a table from one grid to another as timm and open_clip resize those of checkpoints.

    Args:
        table: 1×h×w×C, 1×N×C or N×C with N = prefix + h·w rows.
        own, grid: that of the table, and that wanted.
        prefix: rows that stay as they are.
        mode, antialias: as for torch's `interpolate`.
    """
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc

    if table.ndim == 4:
        return resample_abs_pos_embed_nhwc(table, grid, mode, antialias)
    rows = table if table.ndim == 3 else table[None]
    return resample_abs_pos_embed(rows, list(grid), list(own), prefix, mode, antialias).view(*table.shape[:-2], -1, table.shape[-1])
