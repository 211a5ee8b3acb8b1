"""Which adapters of a list merge into their host without changing its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import product, takewhile

import torch

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import without_autocast


def in_order(adapters: Sequence[BaseAdapter]) -> list[BaseAdapter]:
    """Return the adapters of a list as they act on an operator: first those that change its weight."""
    return sorted(adapters, key=lambda adapter: not adapter.weights)


def mergeable(adapters: Sequence[BaseAdapter], view: View) -> list[BaseAdapter]:
    """Return the leading adapters that merge: the first that does not stays, and all behind it would act before it.

    Leading are those that change weights, wherever they are listed: operators run with these before any site is asked.
    An adapter that writes to operators beyond its own sites does not merge where another behind it acts at a site:
    that one would see other tokens, or come first. Nor does one where another behind it computes with the weights that
    it writes to. What an adapter writes to is found by letting it merge into copies.

    Raises:
        InputError: an operator whose module the host's user has wrapped or hooked.
    """
    ordered = in_order(adapters)
    leading = list(takewhile(lambda adapter: adapter.folds, ordered))
    for place, adapter in enumerate(leading):
        others = ordered[place + 1 :]
        written, behind = _written(adapter, view), {site for other in others for site in other.sites}
        # Without a bias the patch projection's shift lies in the positions, which a scale behind would not reach.
        unreached = 'embed' in written & behind and view.operator(0, 'embed').bias is None
        measured = {name for other in others for name in other.reads_weights}
        if unreached or written & measured or behind and written - {*adapter.sites, *adapter.weights}:
            return leading[:place]
    return leading


def unmerged(adapters: Sequence[BaseAdapter], merged: Sequence[BaseAdapter]) -> list[BaseAdapter]:
    """Return those that stay, in their order of acting."""
    return [adapter for adapter in in_order(adapters) if adapter not in merged]


def fold_leading(adapters: Sequence[BaseAdapter], view: View) -> list[BaseAdapter]:
    """Merge those that `mergeable` names, and return them.

    Raises:
        InputError: as `mergeable`, before anything is changed.
    """
    leading = mergeable(adapters, view)
    with torch.no_grad(), without_autocast(next(view.host.parameters()).device):
        for adapter in leading:
            adapter.fold(view)
    return leading


def hindrance(left: Sequence[BaseAdapter]) -> Iterator[str]:
    """Say in a sentence why those that `mergeable` leaves out are not merged, and what to do; nothing of none."""
    names = [type(adapter).__name__ for adapter in left]
    readers = [type(adapter).__name__ for adapter in left[1:] if adapter.reads_weights]
    if left and not left[0].folds:
        last = ' List it last: what is behind it does not merge past it.' if any(each.folds for each in left) else ''
        yield f'{names[0]} {left[0].apart}.{last}'
    elif readers and left[0].weights:
        yield f'{names[0]} changes the weights that {readers[0]} computes with. Leave one of them out.'
    elif readers:
        yield (
            f'{names[0]} would change the weights that {readers[0]}, listed behind it, computes with. List '
            f'{readers[0]} first, and once.'
        )
    elif left:
        yield (
            f'{names[0]} merges into more than what its sites have, and {", ".join(names[1:])}, listed behind it, '
            'acts in between. List it last.'
        )


def _written(adapter: BaseAdapter, view: View) -> set[str]:
    names, trial = set(), copy(view)

    def operator(layer: int, name: str):
        names.add(name)
        found = view.operator(layer, name)
        return None if found is None else found.copied()

    trial.operator = operator
    with torch.no_grad(), without_autocast(next(view.host.parameters()).device):
        adapter.fold(trial)
    return names


def changed_keys(adapters: Sequence[BaseAdapter], view: View) -> dict[str, str]:
    """Return the keys of the host's parameters that adapters change as weights of operators, and who does.

    Raises:
        InputError: two that change the weight of one operator.
    """
    found, owners = {}, {}
    for adapter, layer in product(adapters, range(1, view.depth + 1)):
        for name in adapter.weights:
            if owners.setdefault(name, adapter) is not adapter:
                raise InputError(
                    f'SparseViT: {type(owners[name]).__name__} and {type(adapter).__name__} both change the weight of '
                    f'{name}. Leave one of them out.'
                )
            for part in view.matrices(layer, name):
                found[f'{view.parts["blocks"]}.{layer - 1}.{part.key}'] = type(adapter).__name__
    return found
