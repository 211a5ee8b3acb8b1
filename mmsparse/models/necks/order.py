"""What a list of sparsifiers may not be, told when it is built: a pass would fail or train something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from mmsparse.errors import InputError, refuse
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.part import has_losses


def check_order(sparsifiers: Sequence[BaseSparsifier]) -> None:
    """Refuse parts of a list that are in each other's way.

    A part tells where it acts (`BaseSparsifier.acting`), by default its `layers`; of one that tells nothing nothing is
    asked.

    Args:
        sparsifiers: in the order in which they are asked.

    Raises:
        InputError: names both parts and the layer, and what to do.
    """
    refuse(_faults(sparsifiers))


def _faults(sparsifiers: Sequence[BaseSparsifier]) -> Iterator[str]:
    for part in sparsifiers:
        if part.chooses_ffn and part.stage == 'before':
            yield (
                f'{type(part).__name__} chooses the tokens of the FFN (chooses_ffn), which is done after attention: '
                "set stage = 'after'."
            )
    for (place, one), (other_place, two) in permutations(enumerate(sparsifiers), 2):
        name, other = type(one).__name__, type(two).__name__
        shared = set(one.acting) & set(two.acting) if place < other_place and one.stage == two.stage else ()
        for layer in sorted(shared):  # asked one after the other in the same place
            if name == other and has_losses(one):
                yield (
                    f'SparseViT: two {name} act at layer {layer}, and their losses would read one choice. Leave one '
                    'out, or give them different layers.'
                )
            if one.chooses_ffn:
                yield (
                    f'SparseViT: {other} acts at layer {layer} after {name} has chosen the tokens of the FFN. List it '
                    'first.'
                )
            if one.moves_rows and two.asks_attention:
                yield (
                    f'SparseViT: {other} ranks tokens by the attention of layer {layer}, but {name}, listed before '
                    'it, moves the tokens there, and no attention describes those that are left. Choose other layers '
                    'for one of them.'
                )
        moments = [(layer, two.stage == 'after', other_place) for layer in two.acting]
        first = min(((layer, one.stage == 'after', place) for layer in one.acting), default=None)
        last = max(((layer, one.stage == 'after', place) for layer in one.acting), default=None)
        if one.brings_back and two.moves_rows and moments and max(moments) > last:
            yield (
                f'SparseViT: {other} moves tokens at layer {max(two.acting)}, where {name} has brought back '
                f'those that had left. Let {other} act before layer {max(one.acting)} only, or leave one out.'
            )
        if one.join_layer is not None and (not moments or max(moments)[:2] >= (one.join_layer, True)):
            yield (
                f'SparseViT: {name} makes one sequence of the frames of a clip at layer {one.join_layer}, and {other} '
                f'acts on frames there or later. Let {other} act before layer {one.join_layer} only, or leave one out.'
            )
        later = first and moments and max(moments) > first
        # one of the same kind knows the invalid ones
        if later and one.leaves_invalid and two.moves_rows and name != other:
            yield (
                f'SparseViT: {other} moves tokens at layer {max(two.acting)}, after {name} has left invalid ones in '
                'the sequence (padding, or tokens masked in training): it would count and rank these too. Let '
                f'{other} act before layer {min(one.acting)} only, or leave one out.'
            )


def check_joining(
    sparsifiers: Sequence[BaseSparsifier], adapters: Sequence[BaseAdapter], out_type: str, stash: bool
) -> None:
    """Refuse what knows single frames alone beside a sparsifier that makes one sequence of them.

    Raises:
        InputError: names the sparsifier, and what is to be left out.
    """
    for part in (part for part in sparsifiers if part.join_layer is not None):
        told = f'SparseViT: {type(part).__name__} makes one sequence of the frames of a clip, and'
        single = [type(adapter).__name__ for adapter in adapters if adapter.one_vector]
        if single:
            raise InputError(f'{told} {single[0]} keeps a vector of each frame. Leave one of them out.')
        if out_type in ('cls_token', 'pooled'):
            raise InputError(f"{told} out_type={out_type!r} is of a frame. Use out_type='tokens'.")
        if stash:
            raise InputError(f'{told} a stash is kept by frame. Leave out stash=True.')
