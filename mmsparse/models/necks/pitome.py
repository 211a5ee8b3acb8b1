"""PiToMe: protect tokens that resemble few others, merge the rest (Tran et al., NeurIPS 2024, arXiv 2405.16148)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import KeepRateSparsifier, asked, highest, kept
from mmsparse.models.necks.tome import Edges, averaging
from mmsparse.models.ops.attention import Probe, without_autocast
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens

WIDEST_MARGIN = 0.9


class EnergyMatching(nn.Module):
    """The pairs of an energy ranking (sec. 3.2): of the 2k tokens of highest energy those at even ranks join the most
    similar one at an odd rank; all others are protected."""

    def forward(self, metric_bmd: Tensor, margin: float, count: int) -> Edges:
        """Return the edges, places among the patches.

        A token's energy is the mean over all of ELU(cosine − margin), α = 1: high where many resemble it. That is eq.
        4 as the published code has it; a token itself adds the same to every energy.

        Args:
            metric_bmd: what similarity is measured on, B×M×d; cosine.
            margin: m, the cosine from which on two tokens count as alike.
            count: k, tokens that leave, at most half of M.
        """
        wide = torch.promote_types(metric_bmd.dtype, torch.float32)
        with torch.no_grad(), without_autocast(metric_bmd.device):
            unit_bmd = F.normalize(metric_bmd.to(wide), dim=-1)
            alike_bmm = unit_bmd @ unit_bmd.transpose(1, 2)
            ranked_bk = highest(F.elu(alike_bmm - margin).mean(-1), 2 * count)
            source_bk, target_bk = ranked_bk[:, 0::2], ranked_bk[:, 1::2]
            alike_bkm = alike_bmm.gather(1, source_bk.unsqueeze(2).expand(-1, -1, alike_bmm.shape[2]))
            choice_bk = alike_bkm.gather(2, target_bk.unsqueeze(1).expand(-1, count, -1)).argmax(-1)
        return Edges(source_bk, target_bk.gather(1, choice_bk))


@MODELS.register_module()
class PiToMe(KeepRateSparsifier):
    """Keep ceil(rate·n) of the n present patch tokens after the attention of every layer: what resembles many others
    merges, what resembles few is protected.

    A merged token is the mean of the patches behind it, and counts as that many keys in all later attention. Tokens
    keep their order. Similarity is the cosine of keys, mean over heads; the margin falls from .9 in the first layer,
    .9 − .9·l/L in layer l of L, counted from 0. Of two tokens of one pair one stays: a rate below a half acts as a
    half.

    Args:
        view: the host's view.
        keep_rate: share of the present patches that stay at every layer, in (0, 1]; the published code's example for
            DeiT-B is .95.
    """

    proportional = asks_attention = True

    def __init__(self, view: View, keep_rate: float = 0.95):
        super().__init__(view, tuple(range(1, view.depth + 1)), keep_rate)
        self.match = EnergyMatching()

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Rank the patches by energy, merge in pairs."""
        count = min(tokens.patches - kept(tokens.patches, self.keep_rate), tokens.patches // 2)
        if count == 0:
            return None
        margin = WIDEST_MARGIN * (1 - (layer - 1) / len(self.layers))
        metric_bmd = asked('PiToMe', layer, probe).k_bhnd.mean(1)[:, tokens.prefix :]
        edges = self.match(metric_bmd, margin, count)
        source_bk, target_bk = edges.source_br + tokens.prefix, edges.target_br + tokens.prefix
        stays_bn = torch.ones_like(tokens.x_bnc[..., 0], dtype=torch.long).scatter(1, source_bk, 0)
        place_bn = stays_bn.cumsum(1) - 1
        index_bn = place_bn.scatter(1, source_bk, place_bn.gather(1, target_bk))
        return averaging(tokens, index_bn, tokens.x_bnc.shape[1] - count, source_bk)
