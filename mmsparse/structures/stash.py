"""What patches that left the stream leave behind."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Stash:
    """What every original patch left behind, for `restore` modes stale and delta.

    Args:
        stale_bmc: B×m×C, the row just before the patch first left or was merged (as source or destination).
        touched_bm: B×m, whether that has happened.
        lost_bmc: B×m×C, sum over the reductions of (row before − row after), for patches that a row stands for.
    """

    stale_bmc: Tensor
    touched_bm: Tensor
    lost_bmc: Tensor


@dataclass(frozen=True)
class Settled:
    """A stash after the final norm: B×m×C for each of the modes stale and delta."""

    stale_bmc: Tensor
    delta_bmc: Tensor
