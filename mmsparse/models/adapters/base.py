"""The contract of a PEFT method: act at named sites of the block loop, say which host parameters train."""

from __future__ import annotations

from torch import Tensor, nn

from mmsparse.tokens import Tokens

from ..losses import LossContext


class BaseAdapter(nn.Module):
    """A PEFT method. Everything is optional; a method overrides what its paper describes.

    Attributes:
        reads_rows: True if the method uses other rows of the last block's output than the class token; all rows are then computed.
    """

    reads_rows = False

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

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Return the losses of this method by name; the names that contain 'loss' are summed. See `mmsparse.SparseClassifier`."""
        return {}
