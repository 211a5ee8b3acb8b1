"""The contract of a PEFT method: act at named sites of the block loop, say which host parameters train."""

from __future__ import annotations

import itertools

from torch import Tensor

from mmsparse.models.hosts.views.view import View
from mmsparse.models.part import Part, check_names
from mmsparse.structures import Tokens

LINEARS = ('q', 'k', 'v', 'proj', 'fc1', 'fc2')


class BaseAdapter(Part):
    """A PEFT method. Everything is optional; a method overrides what its paper describes.

    Attributes:
        weights: operators of every block whose weight it changes, of `LINEARS`.
        identity_at_start: whether the network equals its host as long as nothing has been trained.
        folds: whether `fold` leaves a host that does without this adapter; exact in evaluation.
        reads_weights: the operators with whose weights it computes; what is listed before it does not merge into
            those.
        span: name of the prefix tokens that `tokens` puts into the sequence (`put_prefix`); empty: none. When a list
            is built, several of one class get names of their own, and two methods that share one are refused.
        one_vector: whether `finish` gives all tokens of an image one vector, of which no feature map is made.
        apart: where it does not fold, what it does that the host cannot, for errors: '<name> <apart>'.
    """

    weights: tuple[str, ...] = ()
    identity_at_start = True
    folds = False
    reads_weights: tuple[str, ...] = ()
    span = ''
    one_vector = False
    apart = 'is a branch of its own, which no weight of the host computes'

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        """Put prompts before a block, or others in their place, by `put_prefix` under `span`. Layers count from
        1."""
        return t

    def keys(self, layer: int, t: Tokens) -> tuple[Tensor, Tensor] | None:
        """Return keys and values that are no tokens (prefix tuning): every query is compared with them too.

        Used as returned: the host's norm of keys, its rotary positions and its bias are for tokens. No sparsifier sees
        them: a probe's attention is that among tokens alone.

        Args:
            layer: counted from 1.
            t: the tokens that attend.

        Returns:
            Keys and values, P×C or B×P×C each, heads side by side, as wide as the queries; None: no such keys at this
            layer.
        """

    def weight(self, layer: int, name: str, weight_oi: Tensor) -> Tensor:
        """Return the weight that an operator runs with instead of the host's; asked for `weights` alone, once per
        block and pass.

        All sites see what the operator then gives. One operator takes its weight from one adapter.

        Args:
            layer: counted from 1.
            name: one of `weights`.
            weight_oi: the host's, out×in, gate above value; not to be written to.
        """
        return weight_oi

    def trains(self, key: str) -> bool:
        """Tell whether a host parameter trains, by its key in ``host.state_dict()``; own parameters always do."""
        return False

    def fold(self, view: View) -> None:
        """Merge into the host's parameters, without gradient; called where `folds`. What `weight` gives is put there.

        Into the operator at whose own site the adapter acts (q into q, proj into proj). One that writes to other
        operators too merges only where no adapter behind it acts at a site. All is tried on copies first, so
        `view.operator` must be what leads to the weights.
        """
        for layer, name in itertools.product(range(1, view.depth + 1), self.weights):
            operator = view.operator(layer, name)
            operator.put(self.weight(layer, name, operator.weight))

    def for_testing(self) -> BaseAdapter:
        """Return what gives the same answers by fewer operators as long as no weight changes: itself, unless there is
        such a form. Called without gradient, for those that do not merge; with gradient for each training step that
        is to keep little (`SparseViT.memory`), where nothing in it draws."""
        return self


def check_weights(adapter: BaseAdapter) -> None:
    """Refuse an adapter that would never be asked for a weight; see `check_sites`."""
    check_names(adapter, 'weights', LINEARS, 'weight', type(adapter).weight is not BaseAdapter.weight)
