"""The cost of a model by layer and part: as papers count it, and as it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

import torch
from torch import Tensor, nn

from mmsparse.evaluation.mac_meter import Count, Meter, Place
from mmsparse.evaluation.mac_scopes import OUTSIDE, PARTS, PROBE, backbones, counting, metered


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of one place for one batch.

    Args:
        published: by fvcore's rule, with all tokens of the last block and without probes: comparable with papers.
        executed: by the same rule, of what really runs.
        flops: twice the multiply-adds of products that run, norms left out: what `torch.utils.flop_counter` says.
    """

    published: float = 0
    executed: float = 0
    flops: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.published + other.published, self.executed + other.executed, self.flops + other.flops)


@dataclass(frozen=True)
class Account:
    """What a batch costs.

    Args:
        batch: images or clips in it. Means are over these, and the tokens of a clip are those of all its frames.
        parameters: of the whole model.
        trainable: those that train.
        trainable_backbone: those that train without the head, what papers print; None where no SparseViT tells the
            head apart.
        tokens: how many valid tokens enter each layer's FFN branch, mean over the images.
        ffn_tokens: how many tokens each layer's FFN runs on, mean over the images.
        costs: by place, in the order of the network.
        uncounted: operators that look like matrix products, ran, and have no formula.
    """

    batch: int
    parameters: int
    trainable: int
    trainable_backbone: int | None
    tokens: tuple[float, ...]
    ffn_tokens: tuple[float, ...]
    costs: dict[Place, Cost]
    uncounted: tuple[str, ...] = ()

    @property
    def total(self) -> Cost:
        """All places together."""
        return sum(self.costs.values(), Cost())

    def part(self, name: str) -> Cost:
        """One part, all layers together."""
        return sum((cost for place, cost in self.costs.items() if place.part == name), Cost())

    def layer(self, number: int | None) -> Cost:
        """One layer, all parts together; None: what lies outside the blocks."""
        return sum((cost for place, cost in self.costs.items() if place.layer == number), Cost())


def account(model: nn.Module, batches: Iterable[Tensor]) -> Account:
    """Count what a model costs in mode 'tensor', the head included.

    Args:
        model: anything that maps images to outputs; a SparseViT in it is counted by layer and part, the rest as 'head'
            (without any: 'model'). It is left as it was. On the meta device nothing is computed, unless the cost
            depends on the images.
        batches: images B×3×H×W, or what else the model takes (clips), of one size; costs and numbers
            of tokens are averaged over them.
    """
    found = backbones(model)
    by_image = any(part.by_image for backbone in found for part in backbone.sparsifiers)
    start = OUTSIDE if found else Place(None, 'model')
    published, executed, rows, uncounted, batch = [], [], [], set(), 0
    for images in batches:
        batch = len(images)
        # Papers run one image at a time, where nothing is padded.
        runs = [run(model, piece, start, all_rows=True) for piece in (images.split(1) if by_image else [images])]
        published.append(_sum(meter.counts for meter, _ in runs))
        rows += [_rows(seen, len(images) // len(runs)) for _, seen in runs]
        meter, _ = run(model, images, start, all_rows=False)
        executed.append(meter.counts)
        uncounted |= meter.uncounted
    places = sorted({_shown(place) for counts in (*published, *executed) for place in counts}, key=_order)
    costs = {place: _cost(place, published, executed) for place in places}
    tokens, ffn_tokens = (tuple(mean(layer) for layer in zip(*(one[index] for one in rows))) for index in (0, 1))
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Account(
        batch=batch,
        parameters=sum(size for size, _ in sizes),
        trainable=sum(size for size, trains in sizes if trains),
        trainable_backbone=sum(p.numel() for p in {p for b in found for p in b.parameters()} if p.requires_grad)
        if found
        else None,
        tokens=tokens,
        ffn_tokens=ffn_tokens,
        costs=costs,
        uncounted=tuple(sorted(uncounted)),
    )


def run(model: nn.Module, images: Tensor, start: Place, all_rows: bool, dense: bool = False) -> tuple[Meter, list]:
    """Run a model once under a meter; return it and what each layer's FFN saw."""
    meter = Meter(start)
    with counting(model, all_rows, dense), metered(model, meter) as seen, torch.no_grad(), meter:
        model(images)
    return meter, seen


def _cost(place: Place, published: list[dict], executed: list[dict]) -> Cost:
    probe = place._replace(part=PROBE) if place.part == 'sparsifier' else None
    runs = [(counts.get(place, Count()), counts.get(probe, Count())) for counts in executed]
    return Cost(
        published=mean(counts.get(place, Count()).macs for counts in published),
        executed=mean(own.macs + probed.macs for own, probed in runs),
        flops=mean(2 * (own.products + probed.products) for own, probed in runs),
    )


def _shown(place: Place) -> Place:
    """Probes are part of what sparsifying costs."""
    return place._replace(part='sparsifier') if place.part == PROBE else place


def _sum(all_counts: Iterable[dict[Place, Count]]) -> dict[Place, Count]:
    total = {}
    for counts in all_counts:
        for place, count in counts.items():
            before = total.get(place, Count())
            total[place] = Count(before.products + count.products, before.norms + count.norms)
    return total


def _rows(seen: list, batch: int) -> tuple[list[float], list[float]]:
    valid = [t.x_bnc[..., 0].numel() if t.mask_bn is None else (t.mask_bn > 0).sum().item() for t, _ in seen]
    return [_each(rows, batch) for rows in valid], [_each(rows, batch) for _, rows in seen]


def _each(rows: int, batch: int) -> float:
    return rows / batch if rows % batch else rows // batch


def _order(place: Place) -> tuple[float, int]:
    layer = place.layer if place.layer is not None else 0 if place.part == 'embed' else float('inf')
    return layer, PARTS.index(place.part) if place.part in PARTS else 0
