"""Tell a meter where the work of a SparseViT is done, through the sites and plans that every part goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

from torch import Tensor, nn

from mmsparse.evaluation.meter import Meter, Place
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones import SparseViT
from mmsparse.models.backbones.encoder import Encoder
from mmsparse.models.necks.scores import Score
from mmsparse.structures.tokens import Plan, Tokens

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
        all_rows: compute all rows of the last block.
        dense: leave adapters and sparsifiers out.
    """
    modes, before = {module: module.training for module in model.modules()}, [(b, b.encoder, b.shortcut) for b in backbones(model)]
    try:
        model.eval()
        for backbone, encoder, shortcut in before:
            backbone.encoder, backbone.shortcut = _Bare(encoder) if dense else encoder, shortcut and not all_rows
        yield
    finally:
        for backbone, encoder, shortcut in before:
            backbone.encoder, backbone.shortcut = encoder, shortcut
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def metered(model: nn.Module, meter: Meter) -> Iterator[list[tuple[Tokens, int]]]:
    """Let the SparseViTs of a model tell the meter where they are.

    Yields:
        A list that every layer of the first of them adds to: the tokens that enter its FFN, and how many rows of the batch the FFN runs on.
    """
    seen, before = [], [(backbone, backbone.encoder) for backbone in backbones(model)]
    with ExitStack() as hooks:
        for score in (module for module in model.modules() if isinstance(module, Score)):
            for handle in _booked_as_probe(score, meter):
                hooks.callback(handle.remove)
        try:
            for backbone, encoder in before:
                backbone.encoder = _Metered(encoder, meter, seen if encoder is before[0][1] else [])
            yield seen
        finally:
            for backbone, encoder in before:
                backbone.encoder = encoder


def _booked_as_probe(score: Score, meter: Meter) -> tuple:
    """The attention that a score looks at has been computed in the published methods; only here is it computed again, in part."""
    stack = ExitStack()
    return (
        score.register_forward_pre_hook(lambda *_: stack.enter_context(meter.part(PROBE)) and None),
        score.register_forward_hook(lambda *_: stack.close(), always_call=True),
    )


class _Bare(Encoder):
    """The same encoder without adapters and sparsifiers."""

    def __init__(self, encoder: Encoder):
        self.__dict__.update(encoder.__dict__, adapters=(), sparsifiers=())


class _Metered(Encoder):
    """The same encoder, whose parts book their work on themselves."""

    def __init__(self, encoder: Encoder, meter: Meter, seen: list):
        adapters = [_Booked(part, meter, 'adapter') for part in encoder.adapters]
        sparsifiers = [_Booked(part, meter, 'sparsifier') for part in encoder.sparsifiers]
        self.__dict__.update(encoder.__dict__, meter=meter, adapters=[_Start(meter), *adapters, _End(meter, seen)], sparsifiers=sparsifiers)

    def __call__(self, *args, **kwargs):
        self.meter.place = Place(None, 'embed')
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self.meter.place = OUTSIDE


class _Booked:
    """An adapter or sparsifier all of whose methods are booked on it; a plan's edit belongs to the part that made the plan."""

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

    def __init__(self, meter: Meter):
        super().__init__()
        self.meter = meter

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        self.meter.place = Place(layer, 'attention')
        return t


class _End(BaseAdapter):
    """The last of the adapters: it hears of a site when all work before it is done."""

    sites = ('attn', 'norm2', 'block')

    def __init__(self, meter: Meter, seen: list):
        super().__init__()
        self.meter, self.seen = meter, seen

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        if name == 'attn':
            self.meter.place = Place(layer, 'ffn')
        elif name == 'norm2':
            self.seen.append((t, x.shape[0] * x.shape[1]))
        elif name == 'block':
            self.meter.place = OUTSIDE  # the final norm, or the next block, which says so itself
        return y
