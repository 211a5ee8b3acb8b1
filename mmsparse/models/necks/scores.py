"""How much a token matters. Each score is a module, so that the cost counter can tell the probe from the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import Probe
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_word


class Score(nn.Module):
    """Base of the scores.

    Attributes:
        name: in configs.
        needs_class_token: whether the host must have one.
        sums_to_one: whether the scores of all tokens are shares of one whole, so that they can be raw weights.
        sites: what it sees, of `mmsparse.models.part.SITES`.
        first_layer: first layer at which the score exists, counted from 1.
    """

    name: str
    needs_class_token = False
    sums_to_one = False
    first_layer = 1
    sites: tuple[str, ...] = ()

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        """Return B×N, float32 or wider; the token with the higher score stays."""
        raise NotImplementedError

    def see(self, y: Tensor) -> dict[str, Tensor]:
        """See what an operator at one of `sites` gave, B×N×C; return what is to be carried along, by key, B×N×c."""
        return {}


class ClassAttention(Score):
    """Attention of the class token to every token, mean over heads (EViT, sec. 3.1), in O(N)."""

    name = 'class'
    needs_class_token = sums_to_one = True

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        return probe.attention(1).mean(1).squeeze(1)


class AttentionReceived(Score):
    """Attention that a token receives, mean over heads and over the valid tokens that ask; O(N²)."""

    name = 'received'
    sums_to_one = True

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        a_bqn = probe.attention(probe.k_bhnd.shape[2]).mean(1)
        if tokens.mask_bn is None:
            return a_bqn.mean(1)
        asks_bq1 = tokens.mask_bn.unsqueeze(-1)
        return (a_bqn * asks_bq1).sum(1) / asks_bq1.sum(1)


class KeyNorm(Score):
    """Norm of a token's key, mean over heads."""

    name = 'key_norm'

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        return _norm(probe.k_bhnd).mean(1)


class Shift(Score):
    """Norm of what the previous layer's FFN added to a token, without attention (arXiv 2508.00367)."""

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


def chosen(asker: str, name: str, scores: dict[str, type[Score]], view: View, layers: Sequence[int]) -> Score:
    """Return a new score.

    Raises:
        InputError: an unknown name, a score by the class token on a host without one, or the first of the layers,
            which rise, is one where it does not exist.
    """
    check_word(f'{asker}: received score', name, tuple(scores))
    if scores[name].needs_class_token and not view.class_token:
        others = ' or '.join(f'score={other.name!r}' for other in scores.values() if not other.needs_class_token)
        raise InputError(
            f'{asker}: score={name!r} needs a class token, and the host {view.name} has none. Use {others}.'
        )
    if layers[0] < scores[name].first_layer:
        raise InputError(
            f'{asker}: score={name!r} exists from layer {scores[name].first_layer} on, received layers={layers}.'
        )
    return scores[name]()


SCORES = {score.name: score for score in Score.__subclasses__()}
