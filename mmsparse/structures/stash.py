"""What patches that left the sequence leave behind."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Stash:
    """What every original patch left behind, for the modes stale and delta of `restore`.

    Args:
        stale_bmc: B×m×C, the token that stood for the patch just before the patch first left or was merged, whether
            into another token or by another joining its own.
        touched_bm: B×m, whether that has happened.
        lost_bmc: B×m×C, sum over the reductions of (token before − token after), for patches that a token still
            stands for. Added to the present token it gives the stale one plus what the network has added since.
        carry: by key, B×m×c, what those tokens carried.
        merged: whether tokens have been merged, so that fewer may be left than patches that have not gone.
    """

    stale_bmc: Tensor
    touched_bm: Tensor
    lost_bmc: Tensor
    carry: dict[str, Tensor] = field(default_factory=dict)
    merged: bool = False


@dataclass(frozen=True)
class Settled:
    """A stash after the final norm: B×m×C for each of the modes stale and delta, and B×m whether a patch has left or
    was merged."""

    stale_bmc: Tensor
    delta_bmc: Tensor
    touched_bm: Tensor
