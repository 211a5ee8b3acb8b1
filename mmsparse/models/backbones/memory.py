"""What a training pass keeps for its backward pass, and what it computes again there (`SparseViT.memory`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones.acting_parts import ActingParts
from mmsparse.models.ops.attention import attend, without_autocast
from mmsparse.models.ops.attention_again import attend_again
from mmsparse.models.ops.made_again import MadeAgain
from mmsparse.structures import Tokens
from mmsparse.structures.tokens import NOTHING
from mmsparse.utils.value_checks import check_word

MEMORY = (None, 'fast', 'balanced', 'lean')
OF_ATTENTION = ('norm1', 'q', 'k', 'v', 'attended', 'proj', 'attn')
OF_FFN = ('norm2', 'fc1', 'fc2')
PIECE = 4 * 2**20  # bytes of hidden values of the FFN that a CPU makes at a time: about what its caches hold

Result = TypeVar('Result')


def again(run: Callable[[Tokens], Result], t: Tokens) -> Result:
    """Run what the backward pass runs once more, up to the last tensor that it needs; torch is told of the large
    tensors that enter."""

    def entering(x_bnc: Tensor, *carried_bnc: Tensor) -> Result:
        return run(replace(t, x_bnc=x_bnc, carry=MappingProxyType(dict(zip(t.carry, carried_bnc)))))

    return checkpoint(entering, t.x_bnc, *t.carry.values(), use_reentrant=False)


class Memory:
    """Runs the two halves of a block as a setting says, in a pass for which it acts; every gradient is that of the
    loop's own operators.

    Args:
        setting: None: torch keeps what its operators ask for. 'fast': attention keeps queries, keys and values but not
            its output, who keeps the output of a norm or an activation keeps its input, and a frozen FFN runs on some
            tokens at a time. 'balanced': the FFN keeps its input alone.
            'lean': attention and reduction too.

    Raises:
        InputError: another word.
    """

    def __init__(self, setting: str | None = None):
        check_word('SparseViT: received memory', setting, MEMORY)
        self.attention_again, self.ffn_again = setting == 'lean', setting in ('balanced', 'lean')
        self.setting, self._made_again = setting, MadeAgain()

    @property
    def acts(self) -> bool:
        """Whether this pass has a backward pass to think of; a compiler decides by itself what it keeps."""
        return self.setting is not None and torch.is_grad_enabled() and not torch.compiler.is_compiling()

    @property
    def runs_again(self) -> bool:
        """Whether parts are asked again in the backward pass."""
        return self.acts and self.ffn_again

    def adapters(self, adapters: Sequence[BaseAdapter], device: torch.device) -> Sequence[BaseAdapter]:
        """Return the adapters of a pass, those with a narrow form in that: what they carry is kept for every layer."""
        if not self.acts:
            return adapters
        with without_autocast(device):
            return [adapter if _draws(adapter) else adapter.for_testing() for adapter in adapters]

    def keeping(self) -> AbstractContextManager:
        """Return the context of a pass."""
        return self._made_again.keeping() if self.acts else nullcontext()

    def make(self, function: Callable[[nn.Module, Tensor], Tensor], block: nn.Module, x_bnc: Tensor) -> Tensor:
        """Run a norm or an activation: cheap, so that who keeps the output keeps the input."""
        # under autocast a linear keeps a rounded copy, which this is not; what draws would draw again
        if torch.is_autocast_enabled(x_bnc.device.type) or _draws(block):
            return function(block, x_bnc)
        return self._made_again.make(function, block, x_bnc)

    def attend(self, parts: ActingParts, block: nn.Module) -> Callable[..., Tensor]:
        """Return the attention operator: its output is not made again where somebody behind it keeps it."""
        if self.attention_again:
            return attend
        read = 'attended' in parts.at or 'proj' in parts.at or any('proj' in part.weights for part in parts.weighing)
        trains = any(each.requires_grad and each.ndim > 1 for each in block.parameters())
        return attend if read or trains else attend_again

    def attention(self, run: Callable[[Tokens], Result], t: Tokens, block: nn.Module, parts: ActingParts) -> Result:
        """Run the first half of a block: all up to the residual stream that its FFN sees."""
        if self.attention_again and (_learns(t, block) or parts.learn(OF_ATTENTION, reducing=True)):
            return again(run, t)
        return run(t)

    def ffn(
        self,
        run: Callable[[Tokens], tuple[Tensor, ...]],
        t: Tokens,
        block: nn.Module,
        parts: ActingParts,
        chosen: bool,
    ) -> tuple[Tensor, ...]:
        """Run an FFN from its norm to its second linear.

        Args:
            run: gives what the norm gave, the FFN's output and the tokens with what parts remember.
            t: the tokens that enter.
            block: of the host.
            parts: who acts.
            chosen: whether only some of the tokens enter.
        """
        keeps = run
        if self.ffn_again and (_learns(t, block) or parts.learn(OF_FFN)):
            keeps = partial(again, run)
        rows = 0 if chosen else _at_a_time(t.x_bnc, block, parts)
        if not rows:
            return keeps(t)
        bare = replace(t, carry=NOTHING)
        pieces = t.x_bnc.reshape(1, -1, t.x_bnc.shape[2]).split(rows, dim=1)
        y_1nc = torch.cat([keeps(replace(bare, x_bnc=x_1nc))[1] for x_1nc in pieces], dim=1)
        return t.x_bnc, y_1nc.view(t.x_bnc.shape), t


def _learns(t: Tokens, block: nn.Module) -> bool:
    """Tell whether a backward pass comes through a block: below the first that trains none does."""
    return any(each.requires_grad for each in (t.x_bnc, *t.carry.values(), *block.parameters()))


def _draws(part: nn.Module) -> bool:
    """Tell whether a block or an adapter drops something at random now."""
    return part.training and any(getattr(each, name, 0) for each in part.modules() for name in ('p', 'drop_prob'))


def _at_a_time(x_bnc: Tensor, block: nn.Module, parts: ActingParts) -> int:
    """Return how many tokens an FFN takes at a time, 0: all; only where it is a function of one token that nobody
    changes, and on a CPU, where large tensors are written to fresh pages."""
    alone = not parts.reads_input and not any(name in parts.at for name in OF_FFN)
    if x_bnc.device.type != 'cpu' or torch.is_autocast_enabled('cpu') or not alone:  # autocast would copy each weight
        return 0
    if any(each.requires_grad for each in block.parameters()):
        return 0
    return max(1, PIECE // (4 * x_bnc.shape[2] * x_bnc.element_size()))
