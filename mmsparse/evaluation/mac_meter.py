"""Count multiply-adds while operators run, on any device; on the meta device nothing is computed.

The rule is fvcore's: a multiply-add counts 1, a norm 5 per element (4 without weights), softmax, activations, sums and
gathers nothing. Attention counts whatever kernel runs. Formulas of matrix products and convolutions are torch's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
# An operator with one of these words in its name multiplies matrices; without a formula it is reported.
WORDS = frozenset(
    (
        'mm',
        'addmm',
        'bmm',
        'baddbmm',
        'mv',
        'addmv',
        'dot',
        'vdot',
        'matmul',
        'linear',
        'convolution',
        'attention',
        'cdist',
        'lstm',
    )
)


class Place(NamedTuple):
    """Where work is done: the layer, counted from 1 (None outside the blocks), and the part of the network."""

    layer: int | None
    part: str


@dataclass
class Count:
    """What one place costs: multiply-adds of products (matrices, convolutions, attention) and of norms."""

    products: int = 0
    norms: int = 0

    @property
    def macs(self) -> int:
        """Both together: what papers print as FLOPs."""
        return self.products + self.norms


class Meter(TorchDispatchMode):
    """Adds what every operator costs to the place that is current.

    Args:
        place: where work is done until somebody says otherwise.

    Attributes:
        counts: what each place has cost so far.
        uncounted: operators that look like matrix products and have no formula.
    """

    def __init__(self, place: Place):
        super().__init__()
        self.place, self.counts, self.uncounted = place, defaultdict(Count), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        operator = func.overloadpacket
        if operator not in PRODUCTS and operator not in NORMS:
            with self:  # in inference mode composite operators arrive whole, and their parts are what has formulas
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if operator in PRODUCTS:
            self.counts[self.place].products += PRODUCTS[operator](*args, **kwargs, out_val=out)
        elif operator in NORMS:
            self.counts[self.place].norms += NORMS[operator](*args)
        elif WORDS.intersection(func.name().split('::')[1].split('.')[0].split('_')):
            self.uncounted.add(func.name())
        return out

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Book what runs meanwhile on another part of the current layer."""
        before, self.place = self.place, self.place._replace(part=name)
        try:
            yield
        finally:
            self.place = before


def _halved(flops: Callable[..., int]) -> Callable[..., int]:
    """Torch counts a multiply-add as two."""
    return lambda *args, **kwargs: flops(*args, **kwargs) // 2


def _attention(q, k, v, *args, out_val=None, **kwargs) -> int:
    """q·kᵀ and the product with v; B×H×Q×d, B×H×N×d, B×H×N×d."""
    return prod(q.shape[:3]) * k.shape[2] * (q.shape[3] + v.shape[3])


def _norm(x, weight) -> int:
    return x.numel() * (4 if weight is None else 5)


def _batch_norm(x, weight, bias, mean, variance, training, *args) -> int:
    """In evaluation the statistics are constants: one multiply-add per element."""
    return _norm(x, weight) if training else x.numel() * (1 if weight is None else 2)


PRODUCTS = {operator: _halved(flops) for operator, flops in flop_registry.items()} | {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_fused_attention_overrideable: _attention,
    aten.mv: lambda matrix, vector, out_val: matrix.numel(),
    aten.addmv: lambda bias, matrix, vector, out_val, **scales: matrix.numel(),
    aten.dot: lambda x, y, out_val: x.numel(),
}
NORMS = {
    aten.native_layer_norm: lambda x, shape, weight, *args: _norm(x, weight),
    aten.native_group_norm: lambda x, weight, *args: _norm(x, weight),
    aten.native_batch_norm: _batch_norm,
    aten.cudnn_batch_norm: _batch_norm,
}
