"""The public door to `Tokens`, `Plan` and what moves them."""

from mmsparse.structures import (
    RESTORE,
    Plan,
    Settled,
    Stash,
    Tokens,
    drop_prefix,
    follow,
    insert_prefix,
    merge,
    pour,
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
    'follow',
    'insert_prefix',
    'merge',
    'pour',
    'present',
    'reduce',
    'restore',
    'rows_of',
    'settle',
]
