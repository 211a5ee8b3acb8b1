"""Tables of position embeddings at another grid. Grids are compared, not numbers of patches: 4×9 are as many as
6×6.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mmengine.logging import print_log
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.utils.value_checks import is_list, is_whole

Grid = tuple[int, int]  # patches: rows, columns


def checked_grid(given: object, checkpoint: object) -> Grid | None:
    """Return what a config names as the grid of a file's positions.

    Raises:
        InputError: no two whole numbers, or no file that it could belong to.
    """
    if given is None:
        return None
    sides = list(given) if is_list(given) else []
    alone = '' if isinstance(checkpoint, str) else ' without a file that it describes'
    if alone or len(sides) != 2 or not all(is_whole(side) and side > 0 for side in sides):
        raise InputError(
            f'host.checkpoint_grid: received {given!r}{alone}, expected the patches (rows, columns) that the '
            'positions in the file host.checkpoint were trained for.'
        )
    return tuple(sides)


def resampled(
    table: Tensor, own: Grid, grid: Grid, prefix: int, mode: str = 'bicubic', antialias: bool = True
) -> Tensor:
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
    if table.ndim == 2:
        return resampled(table[None], own, grid, prefix, mode, antialias)[0]
    return resample_abs_pos_embed(table, list(grid), list(own), prefix, mode, antialias)


def fit_positions(
    host: nn.Module,
    key: str,
    grid: Grid,
    prefix: int,
    state: dict[str, Tensor],
    given: Grid | None,
    path: str,
    resize: Callable[[Tensor, Grid, Grid, int], Tensor] = resampled,
) -> dict[str, Tensor]:
    """Resize the table of positions among the tensors of a file to the grid of the host, in place, and tell the user.

    Args:
        host, key: the model, and the name of its table.
        grid: wanted.
        prefix: rows of the table that stand for prefix tokens, before those of the patches.
        state: tensors of the file by the host's names.
        given: grid that the config names for the file, or None: a square.
        path: for messages.
        resize: the rule of the host's library.

    Returns:
        The table as it stands in the file, in the type of the host's, by its name; nothing where it already fits.

    Raises:
        InputError: the number of patches in the file is no square, or not that of the given grid.
    """
    table, own, wanted = state.get(key), getattr(host, key, None), tuple(grid)
    if table is None or own is None:
        return {}
    if table.ndim == 4:  # 1×h×w×C
        source, patches = tuple(table.shape[1:3]), table.shape[1] * table.shape[2]
    else:
        patches = table.shape[-2] - prefix
        source = given or (math.isqrt(max(patches, 0)),) * 2
    if math.prod(source) != patches:
        told = f'host.checkpoint_grid={given} does not fit' if given else 'they make no square'
        raise InputError(
            f'{path}: it has positions for {patches} patches (and {prefix} other rows), but {told}. Set '
            'host.checkpoint_grid=(rows, columns) to the grid that they were trained for, or name the host of this '
            'file.'
        )
    if source == wanted:
        return {}
    print_log(f'{path}: its positions for {source} patches were resized to {wanted}.', 'current')
    state[key] = resize(table, source, wanted, prefix)
    return {key: table.to(own.dtype)}
