"""ATS: sample patches from the distribution of their scores (Fayyaz et al., ECCV 2022, arXiv 2111.15667)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import KeepRateSparsifier, asked, kept, order
from mmsparse.models.necks.scores import AttentionReceived, Score, chosen
from mmsparse.models.ops.attention import Probe
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens


class ValueWeightedAttention(Score):
    """Attention of the class token to each token, summed over heads, times the norm of that token's value (eq. 3,
    without its normalisation)."""

    name = 'class'
    needs_class_token = True

    def forward(self, probe: Probe, tokens: Tokens) -> Tensor:
        attention_bn = self.attention(probe, tokens)
        return attention_bn * probe.v_bhnd.to(attention_bn.dtype).transpose(1, 2).flatten(2).norm(dim=-1)

    def attention(self, probe: Probe, tokens: Tokens) -> Tensor:
        """Return B×N."""
        return probe.attention(1).sum(1).squeeze(1)


class ValueWeightedReceived(ValueWeightedAttention):
    """The same with the attention that a token receives from all valid tokens, in O(N²): ours, for hosts without class
    token."""

    name = 'received'
    needs_class_token = False

    def __init__(self):
        super().__init__()
        self.received = AttentionReceived()

    def attention(self, probe: Probe, tokens: Tokens) -> Tensor:
        return self.received(probe, tokens)


SCORES = {score.name: score for score in (ValueWeightedAttention, ValueWeightedReceived)}


@MODELS.register_module()
class ATS(KeepRateSparsifier):
    """Keep up to ceil(rate·n) of the n present patch tokens: those nearest to an even grid on the cumulative scores,
    duplicates once.

    Images of a batch keep different numbers; shorter ones are padded with invalid tokens. No parameters.

    Args:
        view: the host's view.
        layers: where to sample, counted from 1.
        keep_rate: the largest share of the present patches that can stay, in (0, 1].
        score: whose attention to a patch counts, times the norm of the patch's value: 'class', the class token's (the
            paper's definition), or 'received', that of all tokens (ours), which a host without class token must name.
    """

    by_image = asks_attention = leaves_invalid = True

    def __init__(self, view: View, layers: Sequence[int] = (4, 7, 10), keep_rate: float = 0.7, score: str = 'class'):
        super().__init__(view, layers, keep_rate)
        self.score = chosen('ATS', score, SCORES, view, self.layers)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Sample by the inverse of the cumulative distribution (sec. 3.2)."""
        if layer not in self.layers or self.keep_rate == 1:
            return None
        prefix = tokens.prefix
        with torch.no_grad():
            score_bm = self.score(asked('ATS', layer, probe), tokens)[:, prefix:]
            valid_bm = (
                torch.ones_like(score_bm, dtype=torch.bool)
                if tokens.mask_bn is None
                else tokens.mask_bn[:, prefix:] > 0
            )
            chosen_bm = self._sample(score_bm, valid_bm)
        return Plan.where(tokens, chosen_bm, most=kept(tokens.patches, self.keep_rate))

    def _sample(self, score_bm: Tensor, valid_bm: Tensor) -> Tensor:
        """Return B×m, whether a patch token is nearest to one of its image's grid points.

        The scores, sorted and summed up, are a distribution function over an image's valid tokens. Its inverse at s
        even points of (0, 1) is one token per point: a token of a high score spans many points and is found once for
        all of them, tokens of low scores share one. Padding counts nowhere, so that the other images of a batch do not
        matter.
        """
        patches, present_b1 = score_bm.shape[1], valid_bm.sum(1, keepdim=True)
        ranked_bm = score_bm.masked_fill(~valid_bm, -1.0)  # scores are never negative
        order_bm = order(-ranked_bm)  # rising, so padding first
        sorted_bm, first_b1 = ranked_bm.gather(1, order_bm), patches - present_b1
        cdf_bm = sorted_bm.clamp(min=0).cumsum(1)
        # From 0 at the first valid token to 1 at the last, as published.
        low_b1, high_b1 = cdf_bm.gather(1, first_b1), cdf_bm[:, -1:]
        cdf_bm = (cdf_bm - low_b1) / (high_b1 - low_b1).clamp(min=torch.finfo(cdf_bm.dtype).tiny)
        cdf_bm = cdf_bm.masked_fill(torch.arange(patches, device=score_bm.device) < first_b1, float('inf'))
        samples_b1 = (self.keep_rate * present_b1.double()).ceil().long()  # as `kept`
        # All images get the points of the longest; those past an image's own last one repeat it and find no other
        # token.
        step_bs = torch.arange(kept(patches, self.keep_rate), device=score_bm.device).expand(len(score_bm), -1)
        grid_bs = (torch.minimum(step_bs, samples_b1 - 1).to(cdf_bm.dtype) + 0.5) / samples_b1
        # The inverse: where the function is nearest to a point, back in the order of the image.
        nearest_bs = (cdf_bm.unsqueeze(1) - grid_bs.unsqueeze(2)).abs().argmin(-1)
        return torch.zeros_like(valid_bm).scatter(1, order_bm.gather(1, nearest_bs), 1)
