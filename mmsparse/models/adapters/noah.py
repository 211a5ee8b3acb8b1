"""NOAH: prompts, LoRA and an adapter in every layer, whose sizes are searched for (Zhang et al., 2022, arXiv
2206.04673).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import quick_gelu
from mmsparse.models.adapters.search_space import MODULES, SearchSpace, Subnet
from mmsparse.models.hosts.views.view import View
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, put_prefix
from mmsparse.utils.value_checks import check_dropout

QKV = ('q', 'k', 'v')


class Modules(nn.Module):
    """The prompts, LoRA and adapter of one layer; one of size 0 is not there.

    They are drawn at the super-network's size and cut, as a sub-network's are in the paper's training.
    """

    def __init__(self, width: int, width_out: int, largest: int, size: Mapping[str, int]):
        super().__init__()
        prompts, rank, bottleneck = (size[module] for module in MODULES)
        if prompts:
            rows_pc = nn.init.xavier_uniform_(torch.empty(1, largest, width))[0, :prompts]
            self.prompts = nn.Parameter(rows_pc.clone())
        if rank:
            down, up = nn.Linear(width, rank, bias=False), nn.Linear(rank, width_out, bias=False)
            nn.init.zeros_(up.weight)  # a linear's own initialisation, Kaiming-uniform, is that of the down-projection
            self.lora = nn.ModuleDict(dict(down=down, up=up))
        if bottleneck:
            down, up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
            bound = math.sqrt(6 / (largest + width))  # Xavier-uniform
            for linear in (down, up):
                nn.init.uniform_(linear.weight, -bound, bound)
                nn.init.normal_(linear.bias, std=1e-6)
            self.adapter = nn.ModuleDict(dict(down=down, up=up))


@MODELS.register_module()
class NOAH(BaseAdapter):
    """Prompts in the sequence, ``W x + up(down(dropout(x)))`` for q, k and v with one `down`, and
    ``y + up(dropout(g(down(y))))`` behind the FFN, g QuickGELU, before the residual sum; in every layer.

    A super-network holds all of them at the largest size. A sub-network is its first p prompts, r channels of rank and
    a channels of the bottleneck, other numbers in each layer. Where p is 0 the prompts of the layer before go on, as
    in the paper's code; r or a of 0: no such module. Prompts and adapters are drawn Xavier-uniform, biases from a
    normal of std 1e-6, down-projections of LoRA Kaiming-uniform (a=√5), up-projections of LoRA zero.

    Args:
        view: the host's view.
        sizes: what a module may have in a layer, the same for all three; a super-network has the largest.
        dropout: probability, in training: of a prompt's values, of the input of LoRA, of the bottleneck's channels.
        subnet: what alone is built and trained: ``dict(prompts=…, lora=…, adapter=…)``, each a list of as many sizes
            as the host has layers, from 0 to the largest of `sizes`; or the file (.json) in which a search has written
            them. None: the super-network.

    Attributes:
        space: the sub-networks that a search may choose from.
        active: the sub-network that runs now.

    Raises:
        InputError: sizes that are no different integers of at least 1, one above the host's width, a probability
            outside [0, 1), a sub-network that the super-network does not hold, a file that holds none.
    """

    sites = (*QKV, 'mlp')
    identity_at_start = reads_input = False
    span = 'NOAH'
    apart = 'adds tokens, which no weight of the host does'

    def __init__(
        self,
        view: View,
        sizes: Sequence[int] = (1, 5, 10),
        dropout: float = 0.1,
        subnet: Mapping[str, Sequence[int]] | str | None = None,
    ):
        super().__init__()
        check_dropout('NOAH', dropout)
        self.space = SearchSpace('NOAH', sizes, view.depth, view.width)
        self.built = self.active = self.space.whole if subnet is None else self.space.checked(subnet)
        self.width, self.dropout = view.width, nn.Dropout(dropout)
        self.rows = [_rows(view, layer) for layer in range(1, view.depth + 1)]
        self.layers = nn.ModuleDict()
        for layer in range(1, view.depth + 1):
            size = {module: self.built[module][layer - 1] for module in MODULES}
            self.layers[str(layer)] = Modules(view.width, self.rows[layer - 1]['v'].stop, self.space.largest, size)

    def choose(self, subnet: Subnet | None) -> None:
        """Run as a sub-network of what was built from now on; None: as all of it."""
        self.active = self.built if subnet is None else self.space.checked(subnet)

    def count(self, subnet: Subnet) -> int:
        """Return the number of parameters of a sub-network."""
        prompts, _, bottleneck = (sum(subnet[module]) for module in MODULES)
        biases = self.width * sum(size > 0 for size in subnet['adapter'])
        lora = sum(rank * (self.width + rows['v'].stop) for rank, rows in zip(subnet['lora'], self.rows))
        return prompts * self.width + lora + bottleneck * (2 * self.width + 1) + biases

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        """Put the layer's own prompts in the place of those of the layer before."""
        count = self.active['prompts'][layer - 1]
        if not count:
            return t
        rows_pc = self.layers[str(layer)].prompts[:count].to(t.x_bnc.dtype)
        return put_prefix(t, self.span, self.dropout(rows_pc.expand(len(t.x_bnc), -1, -1)))

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor | SiteOutput:
        """Add LoRA's product to q, k and v, and the adapter of the FFN's output to it."""
        modules = self.layers[str(layer)]
        if name == 'mlp':
            return self._behind(modules, y, self.active['adapter'][layer - 1])
        if not (rank := self.active['lora'][layer - 1]):
            return y
        low_bnr = t.carry.get(self.span)  # of q, for k and v too
        if low_bnr is None or low_bnr.shape[1] != x.shape[1]:  # q of the class token alone
            low_bnr = F.linear(self.dropout(x), modules.lora.down.weight[:rank])
        y = y + F.linear(low_bnr, modules.lora.up.weight[self.rows[layer - 1][name], :rank])
        return SiteOutput(y, carry={self.span: low_bnr if name != 'v' else None})

    def _behind(self, modules: Modules, y_bnc: Tensor, bottleneck: int) -> Tensor:
        if self.active is not self.built:  # distributed training waits for a gradient of each parameter
            y_bnc = y_bnc + (0 * sum(parameter.sum() for parameter in modules.parameters())).to(y_bnc.dtype)
        if not bottleneck:
            return y_bnc
        down, up = modules.adapter.down, modules.adapter.up
        z_bna = quick_gelu(F.linear(y_bnc, down.weight[:bottleneck], down.bias[:bottleneck]))
        return y_bnc + F.linear(self.dropout(z_bna), up.weight[:, :bottleneck], up.bias)


def _rows(view: View, layer: int) -> dict[str, slice]:
    """Which rows of one matrix for q, k and v are whose; where heads share keys, those of k and v are fewer."""
    widths = [view.operator(layer, name).shape[0] for name in QKV]
    return {name: slice(sum(widths[:i]), sum(widths[: i + 1])) for i, name in enumerate(QKV)}
