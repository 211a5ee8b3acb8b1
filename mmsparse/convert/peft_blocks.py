"""What the linear modules of a timm block give, and pairs of LoRA on them in `peft`'s form and in ours.

`peft` adapts modules, mmsparse adapts targets (q, k, v, proj, fc1, fc2), and timm mostly keeps q, k and v in one
module, `attn.qkv`. For LoRA of rank r and scale alpha / r on q and v this gives, with C the host's width (a matrix is
outputs × inputs):

    down (lora_A), 2r × C        up (lora_B), 3C × 2r
    | down of q |                | up of q      0    |
    | down of v |                |    0         0    |   k has no pair
                                 |    0      up of v |

Rank and alpha of the module are then twice ours, so that the scale stays. On the way back, up is divided into the
outputs of q, k and v, and each takes the rows of down that its part of up uses. Where gate and value of a gated FFN
are two modules, a pair on fc1 becomes one on each, with the same down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mmsparse.errors import InputError
from mmsparse.models.adapters.lora import TARGETS
from mmsparse.models.hosts.views.operators import SideBySide
from mmsparse.models.hosts.views.timm_parts import GATE_AND_VALUE
from mmsparse.models.hosts.views.view import QKV, View


class Share(NamedTuple):
    """What a module gives of a target's outputs: all of them, or part number `place` of `of` equal ones."""

    target: str
    place: int = 0
    of: int = 1


def linears(view: View) -> dict[str, tuple[Share, ...]]:
    """Return timm's linear modules in a block and what each of them gives, in the order of its outputs."""
    found = {}
    for name in ('qkv', *TARGETS):
        stem = view.parts.get(name, '')
        if name == 'fc1' and isinstance(view.operator(1, name), SideBySide):
            found |= {
                stem.removesuffix('fc1') + part: (Share(name, place, 2),) for place, part in enumerate(GATE_AND_VALUE)
            }
        elif stem:
            found[stem] = tuple(map(Share, QKV)) if name == 'qkv' else (Share(name),)
    return found


def shape(view: View, layer: int, held: tuple[Share, ...]) -> tuple[int, int]:
    """Return how many inputs and outputs a module has."""
    shapes = [view.operator(layer, share.target).shape for share in held]
    return shapes[0][1], sum(rows // share.of for (rows, _), share in zip(shapes, held))


def joined(pairs: nn.ModuleDict, held: tuple[Share, ...]) -> tuple[Tensor, Tensor]:
    """Return one down and one up for all pairs on a module: downs stacked, ups along a diagonal, as drawn above."""
    ups = [
        pairs[share.target]['up'].weight.chunk(share.of)[share.place] if share.target in pairs else None
        for share in held
    ]
    gap = next(up for up in ups if up is not None)[:, :0]  # rows of what has no pair: as many, of rank 0
    down = torch.cat([pairs[share.target]['down'].weight for share in held if share.target in pairs])
    return down, torch.block_diag(*(gap if up is None else up for up in ups))


def divided(down: Tensor, up: Tensor, held: tuple[Share, ...]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Give target, down and up of each product in a pair on a module; outputs of the target in other modules are 0."""
    for share, own in zip(held, up.chunk(len(held))):
        before, behind = share.place * len(own), (share.of - 1 - share.place) * len(own)
        yield share.target, down, pad(own, (0, 0, before, behind))


def summed(products: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return one product for the one or two on a target, without zeros, and with a down that both share only once."""
    downs, ups = zip(*products)
    alike = all(torch.equal(down, downs[0]) for down in downs)
    down, up = (downs[0], sum(ups)) if alike else (torch.cat(downs), torch.cat(ups, dim=1))
    used = up.any(dim=0)
    return down[used], up[:, used]


def refuse_passed_by(module: str, view: View) -> None:
    """Refuse a module that timm does not run, so that what peft puts on it has no effect.

    Raises:
        InputError: it is attn.qkv of a host with the biases of q, k and v apart.
    """
    if module == 'attn.qkv' and getattr(view.blocks[0].attn, 'q_bias', None) is not None:
        raise InputError(
            f'{view.name}: timm reads the weight of attn.qkv here without running the module, so a pair that peft '
            'puts on it has no effect. Leave q, k and v out of the targets, or write plain weights with '
            'tools/model_converters/merge_adapter.py.'
        )
