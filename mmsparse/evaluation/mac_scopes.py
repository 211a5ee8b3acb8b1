"""Tell a meter where the work of a SparseViT is done, through the sites and plans that every part goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial, wraps
from typing import Any

from torch import Tensor, nn

from mmsparse.evaluation.mac_meter import Meter, Place
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones import SparseViT
from mmsparse.models.backbones.encoder import exchanged
from mmsparse.models.necks.scores import Score
from mmsparse.structures import Plan, Tokens

PARTS = ('embed', 'attention', 'ffn', 'adapter', 'sparsifier', 'head')
OUTSIDE = Place(None, 'head')
PROBE = 'probe'


def backbones(model: nn.Module) -> list[SparseViT]:
    """Return every SparseViT in a model, itself included."""
    return [module for module in model.modules() if isinstance(module, SparseViT)]


@contextmanager
def counting(model: nn.Module, all_rows: bool, dense: bool = False) -> Iterator[None]:
    """Evaluation mode, and the form that is to be counted; everything as it was afterwards.

    Args:
        all_rows: compute all tokens of the last block.
        dense: leave adapters and sparsifiers out.
    """
    modes = {module: module.training for module in model.modules()}
    form = dict(class_row_only=False) if all_rows else {}
    form |= dict(adapters=(), sparsifiers=()) if dense else {}
    with ExitStack() as stack:
        for backbone in backbones(model):
            stack.enter_context(exchanged(backbone.encoder, lambda given: given | form))
        try:
            yield model.eval()
        finally:
            for module, mode in modes.items():
                module.training = mode


@contextmanager
def metered(model: nn.Module, meter: Meter) -> Iterator[list[tuple[Tokens, int]]]:
    """Let the SparseViTs of a model tell the meter where they are.

    Yields:
        A list that every layer of the first of them adds to: the tokens that enter its FFN, and how many tokens of the
        batch the FFN runs on.
    """
    seen = []
    with ExitStack() as stack:
        for score in (module for module in model.modules() if isinstance(module, Score)):
            for handle in _booked_as_probe(score, meter):
                stack.callback(handle.remove)
        for number, backbone in enumerate(backbones(model)):
            stack.enter_context(exchanged(backbone.encoder, partial(_book, meter, [] if number else seen)))
            stack.callback(backbone.encoder.register_forward_hook(partial(_leave, meter), always_call=True).remove)
        yield seen


def _book(meter: Meter, seen: list, given: dict) -> dict:
    """Let the parts of a call book their work on themselves, between two that tell the meter where the blocks are."""
    meter.place = Place(None, 'embed')
    adapters, sparsifiers = (
        [_Booked(part, meter, name) for part in given[f'{name}s']] for name in ('adapter', 'sparsifier')
    )
    return given | dict(adapters=[_Start(meter), *adapters, _End(meter, seen)], sparsifiers=sparsifiers)


def _leave(meter: Meter, *_) -> None:
    meter.place = OUTSIDE


def _booked_as_probe(score: Score, meter: Meter) -> tuple:
    """The published methods have computed the attention that a score looks at; only here is it computed again."""
    stack = ExitStack()
    return (
        score.register_forward_pre_hook(lambda *_: stack.enter_context(meter.part(PROBE)) and None),
        score.register_forward_hook(lambda *_: stack.close(), always_call=True),
    )


class _Booked:
    """An adapter or sparsifier all of whose methods are booked on it; a plan's edit belongs to who made the plan."""

    def __init__(self, part: nn.Module, meter: Meter, name: str):
        self._part, self._meter, self._name = part, meter, name

    def __getattr__(self, key: str) -> Any:
        value = getattr(self._part, key)
        return self._booked(value) if callable(value) else value

    def _booked(self, method: Callable) -> Callable:
        @wraps(method)
        def call(*args, **kwargs):
            with self._meter.part(self._name):
                out = method(*args, **kwargs)
            return replace(out, edit=self._booked(out.edit)) if isinstance(out, Plan) and out.edit else out

        return call


class _Start(BaseAdapter):
    """The first of the adapters: a block begins."""

    token_wise = True

    def __init__(self, meter: Meter):
        super().__init__()
        self.meter = meter

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        self.meter.place = Place(layer, 'attention')
        return t


class _End(BaseAdapter):
    """The last of the adapters: it hears of a site when all work before it is done."""

    sites = ('attn', 'fc1', 'block')
    token_wise = True

    def __init__(self, meter: Meter, seen: list):
        super().__init__()
        self.meter, self.seen = meter, seen

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        if name == 'attn':
            self.meter.place = Place(layer, 'ffn')
        elif name == 'fc1':
            self.seen.append((t, x.shape[0] * x.shape[1]))
        elif name == 'block':
            self.meter.place = OUTSIDE  # the final norm, or the next block, which says so itself
        return y
