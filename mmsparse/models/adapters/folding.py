"""Which adapters of a list merge into their host without changing its answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from itertools import takewhile

import torch
from mmengine.logging import print_log

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import without_autocast


def mergeable(adapters: Sequence[BaseAdapter], view: View) -> list[BaseAdapter]:
    """Return the leading adapters that merge: the first that does not stays, and all behind it would act before it.

    An adapter that writes to operators beyond its own sites does not merge where another behind it acts at a site:
    that one would see other tokens, or come first. Nor does one where another behind it computes with the weights that
    it writes to. What an adapter writes to is found by letting it merge into copies.

    Raises:
        InputError: an operator whose module the host's user has wrapped or hooked.
    """
    leading = list(takewhile(lambda adapter: adapter.folds, adapters))
    for place, adapter in enumerate(leading):
        written, behind = _written(adapter, view), {site for other in adapters[place + 1 :] for site in other.sites}
        # Without a bias the patch projection's shift lies in the positions, which a scale behind would not reach.
        unreached = 'embed' in written & behind and view.operator(0, 'embed').bias is None
        measured = {name for other in adapters[place + 1 :] for name in other.reads_weights}
        if unreached or written & measured or behind and written - set(adapter.sites):
            return leading[:place]
    return leading


def fold_leading(adapters: Sequence[BaseAdapter], view: View) -> list[BaseAdapter]:
    """Merge those that `mergeable` names, say which stay and why, and return the merged ones.

    Raises:
        InputError: as `mergeable`, before anything is changed.
    """
    leading = mergeable(adapters, view)
    for reason in hindrance(left := adapters[len(leading) :]):
        print_log(f'{", ".join(type(each).__name__ for each in left)} not merged. {reason}', 'current')
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
