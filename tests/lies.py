"""Lies told at a place of a JSON file: what the tests of states, cards and peft files that lie share."""

from copy import deepcopy

import pytest

GONE = object()  # the entry goes
NAN = {'$float': 'nan'}
HUGE = 10**12


def words(lie) -> str:
    return 'gone' if lie is GONE else str(lie)[:20]


def cases(table):
    return [pytest.param(place, lie, id=f'{place} {words(lie)}') for place, lies in table.items() for lie in lies]


def keys(place: str) -> list:
    """Return the keys of a place; names of tensors hold dots themselves."""
    first, _, name = place.partition('.')
    if first == 'ema_state_dict':
        return [first, name] if name else [first]
    return [int(key) if key.isdigit() else key for key in place.split('.')]


def tell(content, path: list, lie) -> None:
    """Let the entry at a path be a lie, or go."""
    for key in path[:-1]:
        content = content[key]
    if lie is GONE:
        del content[path[-1]]
    else:
        content[path[-1]] = deepcopy(lie)


def resume(world, state) -> None:
    """Let the runner of a module's world go on from a state."""
    world.runner._resume = False
    world.runner.resume(str(state))
