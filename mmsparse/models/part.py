"""What adapters and sparsifiers share: they act at named sites of the block loop, and may have losses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.losses import LossContext
from mmsparse.structures import Tokens
from mmsparse.utils.spelling import did_you_mean

SITES = ('embed', 'norm1', 'q', 'k', 'v', 'attended', 'proj', 'attn')
SITES += ('norm2', 'fc1', 'fc2', 'mlp', 'block', 'norm')


class SiteOutput(NamedTuple):
    """What a site returns where it remembers something of this pass for later sites and layers.

    Args:
        y: what the network goes on with.
        carry: by key, tensors B×N×c that move with the tokens, or None: that key is no longer needed.
        notes: by key, values that belong to no token.
    """

    y: Tensor
    carry: Mapping[str, Tensor | None] = MappingProxyType({})
    notes: Mapping[str, Any] = MappingProxyType({})

    def remembered(self, t: Tokens) -> Tokens:
        """Return the tokens with what is remembered."""
        carry = {**t.carry, **self.carry}
        for key, value in self.carry.items():
            if value is None:
                carry.pop(key)
        return replace(t, carry=MappingProxyType(carry), notes=MappingProxyType({**t.notes, **self.notes}))


class Part(nn.Module):
    """An adapter or a sparsifier.

    What belongs to one pass is returned from a site (`SiteOutput`) and found in ``t.carry`` and ``t.notes``, never
    kept on the part: `with_cp` runs blocks again.

    Args:
        view: the host's view; this base makes no use of it.

    Attributes:
        sites: where `site` is asked, of `SITES`; set by the class or when it is built.
        reads_rows: True if the method uses other tokens of the last block's output than the class token; all tokens
            are then computed. None: where it has a `finish`.
        reads_input: False if the method makes no use of `x` at norm2 and mlp; tokens that skip the FFN (DyT) then skip
            its norm too.
        token_wise: whether all it does is to act at its sites on each token by itself, whatever its neighbours, its
            place and its image: padding is then left out of the sequence (`mmsparse.structures.pack`).
        num_classes: how many classes of images its auxiliary heads tell apart; None: it has no such heads.
    """

    sites: tuple[str, ...] = ()
    reads_rows: bool | None = None
    reads_input = True
    token_wise = False
    num_classes: int | None = None

    def __init__(self, view: View | None = None):
        super().__init__()

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor | SiteOutput:
        """Return what the network goes on with instead of `y`, in its shape; asked at `sites` alone, sparsifiers
        before adapters.

        `x` and `y` have the same tokens at every site: those of `t`, but at fc1 and fc2 (at norm2 and mlp too, where
        nobody `reads_input`) under a sparsifier that chooses the FFN's tokens, and at q, attended, proj and attn of a
        last block that runs for the class token alone.

        Args:
            name: one of `sites`.
            layer: counted from 1; 0 at embed.
            x: the operator's input; at attended the queries that asked, heads joined: normed, rotated, not scaled.
            y: its output; at norm1 and norm2 `x` itself where the host has no norm there; at attended that of
                attention, before a norm (where the host has one) and the projection; at attn and mlp after a norm
                behind the branch, layer scale and drop-path, before the residual sum.
            t: the sequence; `t.x_bnc` is the residual stream entering the branch, after the reduction for norm2 to
                mlp. None at embed. `t.context` is what the caller of `forward_tokens` handed in, or None.
        """
        return y

    def finish(self, t: Tokens) -> Tokens:
        """Return what heads, poolings and feature maps read, given the tokens after the final norm; asked once a pass,
        sparsifiers before adapters, and nobody who leaves this out.

        `x_bnc` alone may be another, of its shape. A stash follows: what the token of a patch gains, the patch gains,
        unless in mode stale its token has left or was merged.

        Args:
            t: all tokens, or the class token alone (`reads_rows`); with the carry and the notes of the pass.
        """
        return t

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Return the losses of this method by name; the names that contain 'loss' are summed. See
        `mmsparse.SparseClassifier`."""
        return {}


def has_losses(part: Part | type[Part]) -> bool:
    """Tell whether a part, or a class of parts, has losses of its own."""
    return getattr(part.losses, '__func__', part.losses) is not Part.losses


def check_auxiliary(parts: Iterable[Part], head: nn.Module | None) -> None:
    """Refuse a part whose auxiliary heads tell other classes apart than the model's head, or whose logits its losses
    could not be told of; None: the model does not classify images.

    Raises:
        InputError: names the part, its classes and the head's.
    """
    for part in (part for part in parts if part.num_classes is not None):
        classes = getattr(head, 'num_classes', None) if hasattr(head, '_get_loss') else None
        if part.num_classes != classes:
            told = f'{type(head).__name__} tells {classes} apart' if classes else 'no head of it tells those apart'
            raise InputError(
                f'{type(part).__name__}: received num_classes={part.num_classes} classes of images for its auxiliary '
                f"heads, and {told}. Use the head's number, and one head of one task, such as LinearClsHead."
            )


def reads_rows(part: Part) -> bool:
    """Tell whether a part needs the last block for all tokens; one that finishes does unless it says otherwise."""
    finishes = getattr(part.finish, '__func__', None) is not Part.finish
    return finishes if part.reads_rows is None else part.reads_rows


def check_sites(part: Part) -> None:
    """Refuse a part that would never be asked: a site that the loop does not have, none at all, or no `site` to ask.

    Raises:
        InputError: names the part, the site and the nearest right one.
    """
    check_names(part, 'sites', SITES, 'site', type(part).site is not Part.site)


def check_names(part: Part, names: str, known: Sequence[str], method: str, acts: bool) -> None:
    """Refuse names of places that are none, and names without the method that is asked there, or the reverse.

    Args:
        part: whose class attribute `names` it is.
        known: the places that there are.
        method: what is asked there; it `acts` where the part has one of its own.
    """
    kind, own = type(part).__name__, getattr(part, names)
    for wrong in set(own) - set(known):
        hint = did_you_mean(str(wrong), known, most=1, write=repr)
        raise InputError(f'{kind}: received the {names[:-1]} {wrong!r}.{hint} Known: {", ".join(known)}.')
    # a property knows why there is none
    if acts != bool(own) and not isinstance(getattr(type(part), names), property):
        raise InputError(
            f'{kind}: received {names}={own!r} and {"a" if acts else "no"} method {method}, so it would never act. '
            f"Say where it acts, such as {names} = ('proj',), and what it does there."
        )
