"""The contract of a PEFT method: act at named sites of the block loop, say which host parameters train."""

from __future__ import annotations

from torch import Tensor, nn

from mmsparse.tokens import Tokens

from ..losses import LossContext
from ..views.base import View


class BaseAdapter(nn.Module):
    """A PEFT method. Everything is optional; a method overrides what its paper describes.

    Attributes:
        reads_rows: True if the method uses other rows of the last block's output than the class token; all rows are then computed.
        identity_at_start: whether the network equals its host as long as nothing has been trained.
        folds: whether `fold` leaves a host that does without this adapter; exact in evaluation.
        apart: where it does not fold, what it does that the host cannot, for errors: '<name> <apart>'.
    """

    reads_rows = False
    identity_at_start = True
    folds = False
    apart = 'is a branch of its own, which no weight of the host computes'

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        """Add or replace rows before a block (prompts). Layers count from 1."""
        return t

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Return what the network goes on with instead of `y`.

        Args:
            name: embed, norm1, q, k, v, proj, attn, norm2, fc1, fc2, mlp, block or norm.
            layer: counted from 1; 0 at embed.
            x: the operator's input.
            y: its output; at attn and mlp after layer scale and drop-path, before the residual sum.
            t: the sequence; `t.x_bnc` is the residual stream entering the branch, after the reduction for norm2 to mlp.
                None at embed. A site may set `t.carry[key]`.
        """
        return y

    def trains(self, key: str) -> bool:
        """Tell whether a parameter of the host trains, by its key in ``host.state_dict()``. Own parameters always do."""
        return False

    def fold(self, view: View) -> None:
        """Merge into the host's parameters, without gradient; called where `folds`.

        Only into the operator at whose own site the adapter acts (q into q, proj into proj): other adapters act at other sites, and what the
        host does in between, layer scale for one, is not theirs to move past.
        """

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Return the losses of this method by name; the names that contain 'loss' are summed. See `mmsparse.SparseClassifier`."""
        return {}
