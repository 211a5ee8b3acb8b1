"""How much a row matters. Each is a module of its own, so that a cost account can tell the probe from the network by its scope."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.ops.attention import Probe
from mmsparse.structures.tokens import Tokens


class Score(nn.Module):
    """Base of the scores.

    Attributes:
        name: in configs.
        needs_class_token: whether the host must have one.
        sums_to_one: whether the scores of all rows are shares of one whole, so that they can be raw weights.
        sites: what it sees, of `mmsparse.models.part.SITES`.
        first_layer: first layer at which the score exists, counted from 1.
    """

    name: str
    needs_class_token = False
    sums_to_one = False
    first_layer = 1
    sites: tuple[str, ...] = ()

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        """Return B×N, float32 or wider; the row with the higher score stays."""
        raise NotImplementedError

    def see(self, y: Tensor) -> dict[str, Tensor]:
        """See what an operator at one of `sites` gave, B×N×C; return what is to be carried along, by key, B×N×c."""
        return {}


class ClassAttention(Score):
    """Attention of the class token to every row, mean over heads (EViT, sec. 3.1), in O(N)."""

    name = 'class'
    needs_class_token = sums_to_one = True

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        return probe.attention(1).mean(1).squeeze(1)


class AttentionReceived(Score):
    """Attention that a row receives, mean over heads and over the valid rows that ask; O(N²)."""

    name = 'received'
    sums_to_one = True

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        a_bqn = probe.attention(probe.k_bhnd.shape[2]).mean(1)
        if tokens.mask_bn is None:
            return a_bqn.mean(1)
        asks_bq1 = tokens.mask_bn.unsqueeze(-1)
        return (a_bqn * asks_bq1).sum(1) / asks_bq1.sum(1)


class KeyNorm(Score):
    """Norm of a row's key, mean over heads."""

    name = 'key_norm'

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        return _norm(probe.k_bhnd).mean(1)


class Shift(Score):
    """Norm of what the previous layer's FFN added to a row (representation shift, arXiv 2508.00367); needs no attention map."""

    name = 'shift'
    sites = ('mlp',)
    first_layer = 2

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        return tokens.carry['shift'].squeeze(-1)

    def see(self, y: Tensor) -> dict[str, Tensor]:
        return {'shift': _norm(y).unsqueeze(-1)}


def _norm(x: Tensor) -> Tensor:
    """Norm over the last dimension, float32 or wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32)).norm(dim=-1)


SCORES = {score.name: score for score in Score.__subclasses__()}
