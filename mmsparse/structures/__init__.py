"""The token sequence, the plans that shorten it, and what leaves it: pure functions on tensors."""

from mmsparse.structures.bring_back import bring_back
from mmsparse.structures.clips import join_frames, join_rows
from mmsparse.structures.moves import Moves, places
from mmsparse.structures.neighbours import of_neighbours
from mmsparse.structures.packed import PackedTokens, pack, unpack, worth_packing
from mmsparse.structures.plan import Plan, merge, pour, reduce
from mmsparse.structures.restore import RESTORE, follow, restore, settle
from mmsparse.structures.stash import Settled, Stash
from mmsparse.structures.tokens import Tokens, present, put_prefix, rows_of

__all__ = [
    'RESTORE',
    'Moves',
    'PackedTokens',
    'Plan',
    'Settled',
    'Stash',
    'Tokens',
    'bring_back',
    'follow',
    'join_frames',
    'join_rows',
    'merge',
    'of_neighbours',
    'pack',
    'places',
    'pour',
    'present',
    'put_prefix',
    'reduce',
    'restore',
    'rows_of',
    'settle',
    'unpack',
    'worth_packing',
]
