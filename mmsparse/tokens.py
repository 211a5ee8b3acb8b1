"""The public door to `Tokens`, `Plan` and what moves them."""

from mmsparse.structures.stash import Settled, Stash
from mmsparse.structures.tokens import (
    RESTORE,
    Plan,
    Tokens,
    drop_prefix,
    insert_prefix,
    merge,
    present,
    reduce,
    restore,
    rows_of,
    settle,
)

__all__ = [
    'RESTORE',
    'Plan',
    'Settled',
    'Stash',
    'Tokens',
    'drop_prefix',
    'insert_prefix',
    'merge',
    'present',
    'reduce',
    'restore',
    'rows_of',
    'settle',
]
