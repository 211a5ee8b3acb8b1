"""The contract of a PEFT method: act at named sites of the block loop, say which host parameters train."""

from __future__ import annotations

from difflib import get_close_matches

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.base import View
from mmsparse.models.ops.losses import LossContext
from mmsparse.structures.tokens import Tokens

SITES = ('embed', 'norm1', 'q', 'k', 'v', 'proj', 'attn', 'norm2', 'fc1', 'fc2', 'mlp', 'block', 'norm')


class BaseAdapter(nn.Module):
    """A PEFT method. Everything is optional; a method overrides what its paper describes.

    What belongs to one pass rides in ``t.carry`` (a tensor per row) or ``t.notes``, never on the adapter: `with_cp` runs blocks again.

    Attributes:
        sites: where `site` is asked, of `SITES`; set by the class or when it is built.
        reads_rows: True if the method uses other rows of the last block's output than the class token; all rows are then computed.
        identity_at_start: whether the network equals its host as long as nothing has been trained.
        folds: whether `fold` leaves a host that does without this adapter; exact in evaluation.
        apart: where it does not fold, what it does that the host cannot, for errors: '<name> <apart>'.
    """

    sites: tuple[str, ...] = ()
    reads_rows = False
    identity_at_start = True
    folds = False
    apart = 'is a branch of its own, which no weight of the host computes'

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        """Add or replace rows before a block (prompts). Layers count from 1."""
        return t

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Return what the network goes on with instead of `y`, in its shape; asked at `sites` alone.

        Keys and values may be given rows that are no tokens, where nothing reduces and no position is rotary.

        Args:
            name: one of `sites`.
            layer: counted from 1; 0 at embed.
            x: the operator's input.
            y: its output; at attn and mlp after layer scale and drop-path, before the residual sum.
            t: the sequence; `t.x_bnc` is the residual stream entering the branch, after the reduction for norm2 to mlp.
                None at embed. A site may set `t.carry[key]` and `t.notes[key]`.
        """
        return y

    def trains(self, key: str) -> bool:
        """Tell whether a parameter of the host trains, by its key in ``host.state_dict()``. Own parameters always do."""
        return False

    def fold(self, view: View) -> None:
        """Merge into the host's parameters, without gradient; called where `folds`.

        Into the operator at whose own site the adapter acts (q into q, proj into proj). One that writes to other operators too merges only where
        no adapter behind it acts at a site. All is tried on copies first, so `view.operator` must be what leads to the weights.
        """

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Return the losses of this method by name; the names that contain 'loss' are summed. See `mmsparse.SparseClassifier`."""
        return {}


def check_sites(adapter: BaseAdapter) -> None:
    """Refuse an adapter that would never be asked: a site that the loop does not have, none at all, or no `site` to ask.

    Raises:
        InputError: names the adapter, the site and the nearest right one.
    """
    name, acts = type(adapter).__name__, type(adapter).site is not BaseAdapter.site
    for wrong in set(adapter.sites) - set(SITES):
        close = get_close_matches(str(wrong), SITES, n=1)
        raise InputError(f'{name}: received the site {wrong!r}.{f" Did you mean {close[0]!r}?" if close else ""} Known: {", ".join(SITES)}.')
    if acts != bool(adapter.sites):
        raise InputError(
            f'{name}: received sites={adapter.sites!r} and {"a" if acts else "no"} method site, so it would never act. '
            "Say where it acts, such as sites = ('mlp',), and what it does there."
        )
