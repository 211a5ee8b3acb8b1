"""The contract of a token sparsifier: it decides which tokens stay, `mmsparse.structures.reduce` executes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import Probe
from mmsparse.models.part import Part
from mmsparse.structures import Plan, Tokens, places
from mmsparse.utils.value_checks import check_rate, is_list, is_whole


def kept(patches: int, keep_rate: float) -> int:
    """Return ceil(rate·patches), as EViT counts; in Python floats, because float32 rounds differently."""
    return math.ceil(keep_rate * patches)


class BaseSparsifier(Part):
    """A method that takes tokens out of the sequence, or out of the FFN.

    Attributes:
        stage: 'before' or 'after' attention.
        proportional: whether a token that stands for s patches counts as s keys in attention (ToMe).
        moves_rows: whether tokens leave or merge.
        asks_attention: whether its plans read the probe.
        chooses_ffn: whether its plans say which tokens enter the FFN.
        leaves_invalid: whether tokens may stay in the sequence that count for nothing: padding, or patches masked in
            training.
        brings_back: whether a plan of it lets tokens come back (`Plan.brings_back`).
        join_layer: behind whose attention the frames of a clip become one sequence (`Plan.joins_frames`), or None.
        by_image: whether what an image costs depends on what it shows; such costs are averaged over photographs.
    """

    stage = 'after'
    proportional = False
    moves_rows = True
    asks_attention = False
    chooses_ffn = False
    leaves_invalid = False
    brings_back = False
    join_layer: int | None = None
    by_image = False

    @property
    def acting(self) -> tuple[int, ...]:
        """The layers at which it may return a plan: what a list is checked by. Empty: not known."""
        return tuple(getattr(self, 'layers', ()))

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Say where the tokens go, or None where nothing changes.

        Args:
            layer: counted from 1.
            tokens: the present sequence; after attention for stage 'after'.
            probe: the attention of this layer; None before attention, or after another sparsifier has changed the
                tokens.
        """
        raise NotImplementedError

    def report(self, tokens: Tokens) -> dict[str, Tensor]:
        """Return figures of each image, B, for its prediction."""
        return {}


class KeepRateSparsifier(BaseSparsifier):
    """A sparsifier with one keep rate for some layers.

    Args:
        view: the host's view (width, depth, grid, prefix).
        layers: where to reduce, counted from 1, rising.
        keep_rate: share of the present patches that stay at each of them, in (0, 1].

    Raises:
        InputError: a layer the host does not have, a layer named twice, a rate outside (0, 1].
    """

    def __init__(self, view: View, layers: Sequence[int], keep_rate: float):
        super().__init__()
        name = type(self).__name__
        check_layers(name, view, layers)
        check_rate(f'{name}: keep_rate', keep_rate)
        self.layers, self.keep_rate = tuple(layers), float(keep_rate)


def check_layers(name: str, view: View, layers: Sequence[int]) -> None:
    """Refuse what is no list, a layer that the host does not have, one named twice, or an order that falls."""

    def faults() -> Iterator[str]:
        if not is_list(layers):
            yield f'={layers!r}, expected a list of layers such as (2,). For no reduction leave out the sparsifier.'
        if wrong := [layer for layer in layers if not is_whole(layer) or not 1 <= layer <= view.depth]:
            yield f'={tuple(layers)}; {wrong} are not layers of this host. Layers count from 1 to {view.depth}.'
        if any(b <= a for a, b in zip(layers, layers[1:])):
            yield f'={tuple(layers)}, expected each layer once, in rising order.'

    refuse(f'{name}: received layers{fault}' for fault in faults())


def strongest(score_bn: Tensor, count: int) -> Tensor:
    """Return the places of the highest scores, B×count, in rising order; of equal ones the first stay.

    That is a stable sort's choice without one, which ONNX does not know; which of equal ones topk alone would take is
    left to the device. What is no number is lowest: with fewer than `count` places what follows would fail
    in other words, on a GPU for good, before training stops for the number.
    """
    score_bn = score_bn.masked_fill(score_bn.isnan(), float('-inf'))
    least_b1 = score_bn.topk(count, dim=1, sorted=False).values.amin(1, keepdim=True)
    above_bn, tied_bn = score_bn > least_b1, score_bn == least_b1
    return places(above_bn | tied_bn & (tied_bn.cumsum(1) <= count - above_bn.sum(1, keepdim=True)), count)


def order(score_bn: Tensor) -> Tensor:
    """Return the places of all scores, B×N, the highest first and of equal ones the first, as a stable sort does.

    In an exported graph, for which ONNX has no stable sort, two steps: a score's rank is the number of those that come
    before it, in O(N²) comparisons; and the place of rank r is where that rank stands.
    """
    if not torch.compiler.is_exporting():
        return score_bn.sort(dim=1, descending=True, stable=True).indices
    return order_in_graph(score_bn)


def order_in_graph(score_bn: Tensor) -> Tensor:
    """The same without a sort."""
    place_n = torch.arange(score_bn.shape[1], device=score_bn.device)
    one_bn1, other_b1n = score_bn.unsqueeze(2), score_bn.unsqueeze(1)
    rank_bn = ((other_b1n > one_bn1) | (other_b1n == one_bn1) & (place_n < place_n.unsqueeze(1))).sum(-1)
    return torch.zeros_like(rank_bn).scatter(1, rank_bn, place_n.expand_as(rank_bn))


def highest(score_bn: Tensor, count: int) -> Tensor:
    """Return the places of the highest scores, B×count, the highest first and of equal ones the first."""
    place_bk = strongest(score_bn, count)
    return place_bk.gather(1, order(score_bn.gather(1, place_bk)))


def asked(name: str, layer: int, probe: Probe | None) -> Probe:
    """Return the probe; refuse where another sparsifier has changed the tokens that it describes."""
    if probe is None:
        raise InputError(
            f'{name}: another sparsifier reduced layer {layer} before it, so no attention describes the present '
            'tokens. Choose other layers.'
        )
    return probe
