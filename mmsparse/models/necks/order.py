"""What a list of sparsifiers may not be, told when it is built: a pass would fail or train something else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from mmsparse.errors import InputError
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
    for part in sparsifiers:
        if part.chooses_ffn and part.stage == 'before':
            raise InputError(
                f"{type(part).__name__} chooses the tokens of the FFN (chooses_ffn), which is done after attention: set stage = 'after'."
            )
    for (place, one), (other_place, two) in permutations(enumerate(sparsifiers), 2):
        if place < other_place and one.stage == two.stage:
            for layer in sorted(set(one.acting) & set(two.acting)):
                _check_pair(layer, one, two)
        moments = [(layer, two.stage == 'after', other_place) for layer in two.acting]
        first = min(((layer, one.stage == 'after', place) for layer in one.acting), default=None)
        # One of the same kind knows which tokens are invalid.
        if first and moments and max(moments) > first and one.leaves_invalid and two.moves_rows and type(one) is not type(two):
            name, other = type(one).__name__, type(two).__name__
            raise InputError(
                f'SparseViT: {other} moves tokens at layer {max(two.acting)}, after {name} has left invalid ones in the sequence (padding, or tokens '
                f'masked in training): it would count and rank these too. Let {other} act before layer {min(one.acting)} only, or leave one out.'
            )


def _check_pair(layer: int, one: BaseSparsifier, two: BaseSparsifier) -> None:
    """Compare two parts that are asked one after the other in the same place."""
    name, other = type(one).__name__, type(two).__name__
    if name == other and has_losses(one):
        raise InputError(
            f'SparseViT: two {name} act at layer {layer}, and their losses would read one choice. Leave one out, or give them different layers.'
        )
    if one.chooses_ffn:
        raise InputError(f'SparseViT: {other} acts at layer {layer} after {name} has chosen the tokens of the FFN. List it first.')
    if one.moves_rows and two.asks_attention:
        raise InputError(
            f'SparseViT: {other} ranks tokens by the attention of layer {layer}, but {name}, listed before it, moves the tokens there, and no '
            'attention describes those that are left. Choose other layers for one of them.'
        )
