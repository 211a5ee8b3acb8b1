"""The public door to `Tokens`, `Plan` and what moves them."""

from mmsparse.structures import (
    RESTORE,
    Plan,
    Settled,
    Stash,
    Tokens,
    bring_back,
    follow,
    merge,
    pour,
    present,
    put_prefix,
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
    'bring_back',
    'follow',
    'merge',
    'pour',
    'present',
    'put_prefix',
    'reduce',
    'restore',
    'rows_of',
    'settle',
]
