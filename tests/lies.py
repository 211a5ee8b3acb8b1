"""Lies told at a place of a JSON file: what the tests of states, cards and peft files that lie share."""

import pytest

from mmsparse.analysis.campaigns.damage import GONE

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


def resume(world, state) -> None:
    """Let the runner of a module's world go on from a state."""
    world.runner._resume = False
    world.runner.resume(str(state))
