"""PYRA: ToMe whose sources are re-activated before they merge (Xiong et al., ECCV 2024, arXiv 2403.09192)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.tome import Edges, ToMe, merging
from mmsparse.models.ops.attention import Probe
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens


class Reactivation(nn.Module):
    """Modulate r sources by channel and by token (sec. 3.3); the identity at first, because `channels` is zero.

    Args:
        width: embed_dim.
        count: r, sources of this layer.
    """

    def __init__(self, width: int, count: int):
        super().__init__()
        # Kaiming-uniform with a=√5 of a column r×1: one input each
        self.tokens = nn.Parameter(torch.empty(count).uniform_(-1, 1))
        self.channels = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)

    def forward(self, source_brc: Tensor, target_brc: Tensor) -> Tensor:
        """Return the sources re-activated, B×r×C; both arguments are tokens times the patches behind them."""
        both_brc = self.norm(source_brc + target_brc)
        weights_r = self.tokens[: source_brc.shape[1]]
        channel_b1c = 2 * (weights_r.unsqueeze(-1) * both_brc).sum(1, keepdim=True).sigmoid()
        # a product by a vector has no rule in fvcore
        token_br1 = 2 * F.linear(both_brc, self.channels.unsqueeze(0)).sigmoid() - 1
        return source_brc + source_brc * channel_b1c * token_br1


@MODELS.register_module()
class PYRA(ToMe):
    """ToMe with a trainable re-activation per layer; combine it with an adapter (the paper: LoRA).

    Arguments are ToMe's. Counts of the paper for ViT-B: low [16]*11 + [10]; high [40, 34, 30, 24, 18, 14, 10, 8, 4, 4,
    3, 3].

    Every re-activation trains; one that a step does not use gets a gradient of zero, because what is used is known by
    then alone: the last layer's merges do not reach a class token, and after other methods there may be no pair left
    to merge.
    """

    def __init__(self, view: View, r: int | Sequence[int] = 8, inflect: float = 0.0):
        super().__init__(view, r, inflect)
        self.layers = nn.ModuleDict(
            {str(layer): Reactivation(view.width, self.counts[layer - 1]) for layer in self.acting}
        )
        self.depth = view.depth

    @property
    def reads_rows(self) -> bool:
        """Where nothing merges before the last block, training needs all of its tokens to reach the parameters."""
        return self.training and self.acting[:1] == (self.depth,)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Merge as ToMe does, after re-activation."""
        edges = self.edges(layer, tokens, probe)
        first = self.training and self.acting[:1] == (layer,)
        if edges is None:
            return Plan.stay(tokens, edit=self._name_all) if first else None
        return merging(
            tokens,
            edges,
            edit=lambda x_bnc: self._edit(layer, tokens, edges, self._name_all(x_bnc) if first else x_bnc),
        )

    def _name_all(self, x_bnc: Tensor) -> Tensor:
        """Add zero times every parameter: distributed training waits for a gradient of each."""
        return x_bnc + (0 * sum(parameter.sum() for parameter in self.parameters())).to(x_bnc.dtype)

    def _edit(self, layer: int, tokens: Tokens, edges: Edges, x_bnc: Tensor) -> Tensor:
        size_bn1 = tokens.sizes_bn.unsqueeze(-1)
        source_br1, target_br1 = edges.source_br.unsqueeze(-1), edges.target_br.unsqueeze(-1)
        scaled_bnc = (x_bnc * size_bn1).to(x_bnc.dtype)
        source_brc, target_brc = (
            scaled_bnc.gather(1, index_br1.expand(-1, -1, x_bnc.shape[2])) for index_br1 in (source_br1, target_br1)
        )
        active_brc = self.layers[str(layer)](source_brc, target_brc) / size_bn1.gather(1, source_br1)
        return x_bnc.scatter(1, source_br1.expand_as(active_brc), active_brc.to(x_bnc.dtype))
