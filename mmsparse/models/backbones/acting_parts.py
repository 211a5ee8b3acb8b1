"""What the block loop asks of adapters and sparsifiers: at sites, for attention, for plans."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from torch import Size, Tensor
from torch.nn import Module, Parameter

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.ops.attention import Probe, attend_masked, key_bias, more_keys, padded
from mmsparse.models.part import Part, SiteOutput
from mmsparse.structures import PackedTokens, Tokens, bring_back, follow, pack, reduce, unpack, worth_packing

EVERY = range(sys.maxsize)  # layers


class ActingParts:
    """The adapters and sparsifiers of one pass, by where they act.

    Args:
        adapters: in the order in which they are asked.
        sparsifiers: likewise.
        biased: whether the host adds a bias to logits.
        memory: the `Memory` that runs the halves of a block, where the pass is to keep little, or None.
    """

    def __init__(
        self,
        adapters: Sequence[BaseAdapter],
        sparsifiers: Sequence[BaseSparsifier],
        biased: bool = False,
        memory: Any = None,
    ):
        self.adapters, self.sparsifiers, self.memory = adapters, sparsifiers, memory
        self.brings_back = any(sparsifier.brings_back for sparsifier in sparsifiers)
        self.proportional = any(sparsifier.proportional for sparsifier in sparsifiers)
        self.inserting = [
            part for part in adapters if getattr(part.tokens, '__func__', None) is not BaseAdapter.tokens
        ]
        self.keying = [part for part in adapters if getattr(part.keys, '__func__', None) is not BaseAdapter.keys]
        self.weighing = [part for part in adapters if part.weights]
        self.stages = {stage: [part for part in sparsifiers if part.stage == stage] for stage in ('before', 'after')}
        # where each stage has to be asked
        self.layers = {
            stage: frozenset(chain(*(part.acting for part in asked))) if all(part.acting for part in asked) else EVERY
            for stage, asked in self.stages.items()
        }
        every = (*sparsifiers, *adapters)
        self.at: dict[str, list[Part]] = {}
        # a sparsifier sees what the host's operator gave, before adapters add to it
        for part in every:
            for name in part.sites:
                self.at.setdefault(name, []).append(part)
        self.finishing = [part for part in every if getattr(part.finish, '__func__', None) is not Part.finish]
        self.packs = not biased and all(part.token_wise for part in adapters)
        self.packs &= all((part.token_wise or not part.sites) and not part.chooses_ffn for part in sparsifiers)
        self.reads_input = any(part.reads_input for name in ('norm2', 'mlp') for part in self.at.get(name, ()))

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> tuple[Tensor, Tokens | None]:
        """Ask those that act at a site; return what the network goes on with, and the tokens with what is added."""
        for part in self.at[name]:
            shape, y = y.shape, part.site(name, layer, x, y, t)
            if isinstance(y, SiteOutput):
                y, t = y.y, y.remembered(t)
            if y.shape != shape:  # the sum behind a branch would broadcast it
                raise _other_shape(part, f'at the site {name} of layer {layer}', shape, y)
        return y, t

    def finish(self, t: Tokens) -> Tokens:
        """Ask those that have something to say after the final norm."""
        for part in self.finishing:
            before, t = t, part.finish(t)
            if t.x_bnc.shape != before.x_bnc.shape:
                raise _other_shape(part, 'in finish', before.x_bnc.shape, t.x_bnc)
            t = follow(before, t)
        return t

    def learn(self, sites: Iterable[str], reducing: bool = False) -> bool:
        """Tell whether a part that acts at one of these sites trains; `reducing`: or one that moves tokens or adds
        some."""
        acting = {id(part): part for name in sites for part in self.at.get(name, ())}
        if reducing:
            acting |= {id(part): part for part in (*self.inserting, *self.keying, *self.sparsifiers)}
        return any(each.requires_grad for part in acting.values() for each in part.parameters())

    def with_weights(self, view: View, layer: int) -> Module:
        """Return a block with the weights that adapters give its operators."""
        changed = {
            name: part.weight(layer, name, view.weight(layer, name)) for part in self.weighing for name in part.weights
        }
        return view.with_weights(layer, changed)

    def held(self, batch: int) -> dict[int, str]:
        """Return by id, with the part's name, tensors of a pass (with history, or an entry per image) kept on
        parts.
        """
        found = {}
        for part in (*self.adapters, *self.sparsifiers):
            # torch's own layers, by far the most, keep nothing
            own = [module for module in part.modules() if not type(module).__module__.startswith('torch.')]
            kept = [each for module in own for value in vars(module).values() for each in _entries(value)]
            for tensor in (each for each in kept if isinstance(each, Tensor)):
                per_image = not isinstance(tensor, Parameter) and tensor.shape[:1] == (batch,)
                if per_image or tensor.grad_fn is not None:
                    found[id(tensor)] = type(part).__name__
        return found

    def attend(
        self,
        operator: Callable[..., Tensor],
        layer: int,
        q_bhqd: Tensor,
        k_bhnd: Tensor,
        v_bhnd: Tensor,
        scale: float,
        dropout: float,
        bias: Tensor | None,
        t: Tokens,
    ) -> tuple[Tensor, Probe]:
        """Attention in the form that the tokens and parts ask for, and what may be asked about it.

        Args as in `mmsparse.models.ops.attention.attend`, which `operator` is or stands in for; `bias` is the host's.
        """
        if isinstance(t, PackedTokens):
            q_bhqd, k_bhnd, v_bhnd = (t.spread(x.transpose(1, 2)).transpose(1, 2) for x in (q_bhqd, k_bhnd, v_bhnd))
            bias = key_bias(t.origin, None, masked=True)  # what padding itself attends to is thrown away
            o_bnc = operator(q_bhqd, k_bhnd, v_bhnd, scale, dropout, bias)
            return t.gathered(o_bnc), Probe(q_bhqd, k_bhnd, v_bhnd, scale, bias, t.context)
        soft = t.mask_bn is not None and t.mask_bn.requires_grad
        bias, mask_bn = key_bias(t, q_bhqd.shape[2], not soft, bias), t.mask_bn
        probe = Probe(q_bhqd, k_bhnd, v_bhnd, scale, bias, t.context)
        others = []
        for part in self.keying:
            pair = part.keys(layer, t)
            others += [] if pair is None else [pair]
        if others:
            k_bhnd, v_bhnd = (more_keys(own, more) for own, more in zip((k_bhnd, v_bhnd), zip(*others)))
            bias, mask_bn = padded(bias, k_bhnd.shape[2], 0), padded(mask_bn, k_bhnd.shape[2], 1)
        if soft:
            return attend_masked(q_bhqd, k_bhnd, v_bhnd, scale, dropout, mask_bn, bias), probe
        return operator(q_bhqd, k_bhnd, v_bhnd, scale, dropout, bias), probe

    def reduce(self, stage: str, layer: int, t: Tokens, probe: Probe | None) -> tuple[Tokens, Tensor | None]:
        """Ask the sparsifiers of a stage; return the tokens left and the tokens that enter the FFN (None: all)."""
        t, ffn_bn = unpack(t), None
        mask_bn = t.mask_bn
        for sparsifier in self.stages[stage]:
            plan = sparsifier.plan(layer, t, probe)
            if plan is None:
                continue
            if ffn_bn is not None:
                raise InputError(
                    f'{type(sparsifier).__name__} acts at layer {layer} after another sparsifier has chosen the '
                    'tokens of the FFN. List it first.'
                )
            t, ffn_bn = bring_back(t) if plan.brings_back else reduce(t, plan), plan.ffn_bn
            # Another sparsifier at this stage may ask about attention only while the tokens are those that attended.
            moved = plan.index_bn is not None or plan.brings_back or plan.joins_frames
            probe = None if moved else probe
        return pack(t) if self.packs and t.mask_bn is not mask_bn and worth_packing(t) else t, ffn_bn


def _other_shape(part: Part, where: str, shape: Size, y: Tensor) -> InputError:
    return InputError(
        f'{type(part).__name__}: received a tensor of {tuple(shape)} {where} and returned one of '
        f'{tuple(y.shape)}. Return the shape received; tokens are added by `tokens`, keys and values '
        'that are no tokens by `keys`.'
    )


def _entries(value: object) -> Iterable[object]:
    """What a dictionary, a list or a tuple holds; anything else holds itself."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else (value,)
