"""The contract of what may run in the place of the last block."""

from __future__ import annotations

from torch import nn

from mmsparse.models.hosts.views.view import View
from mmsparse.structures import Tokens


class BaseReadout(nn.Module):
    """Turns the stream that enters the last block into the one that the final norm gets (ProxyCLIP is one).

    Adapters and sparsifiers see a host without that block: none of their parameters lies idle, and a layer that does
    not run is refused.

    Args:
        view: the host's view, all blocks.

    Attributes:
        view: the same; the block that is replaced is `block`.
        operators: what it uses of that block, of norm1, q, k, v, proj, norm2, fc1 and fc2; None: the whole block. The
            rest of it never trains.
    """

    operators: tuple[str, ...] | None = None

    def __init__(self, view: View):
        super().__init__()
        self.view = view  # no module: the host's parameters stay the host's

    @property
    def block(self) -> nn.Module:
        """The last block, for the parts of it that are still wanted."""
        return self.view.blocks[-1]

    def reads(self, key: str) -> bool:
        """Tell whether a parameter of the host, by its key in ``host.state_dict()``, has an influence on the
        output."""
        if self.operators is None or self.view.layer_of(key) != self.view.depth:
            return True
        in_block = key.partition(f'.{self.view.depth - 1}.')[2]
        return in_block.startswith(tuple(self.view.path(name) for name in self.operators))

    def forward(self, tokens: Tokens, context: object) -> Tokens:
        """Return the tokens to be normed; a new grid is told by fresh ones (`Tokens.start`).

        Args:
            tokens: the stream after the last block but one, reduced as it is; with ``SparseViT(stash=True)`` the
                tokens that left are in its stash, to be settled (`mmsparse.structures.settle`) before they are
                restored.
            context: what the caller of `forward_tokens` handed in, such as a second network's features; None if
                nothing.
        """
        raise NotImplementedError
