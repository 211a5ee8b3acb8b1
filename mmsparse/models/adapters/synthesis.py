"""The new parts of SynQT: what makes a layer's queries, and what makes one vector of all layers."""

from __future__ import annotations

from operator import attrgetter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.view import View

WIDE, THIN = 48, 8  # the published widths of bottlenecks


class Residual(nn.Module):
    """``u + dropout(up(dropout(GELU(down(u)))))``: A_h of width h, drawn as torch draws linears."""

    def __init__(self, width: int, bottleneck: int, dropout: float = 0.0):
        super().__init__()
        self.down, self.up, self.dropout = (
            nn.Linear(width, bottleneck),
            nn.Linear(bottleneck, width),
            nn.Dropout(dropout),
        )

    def forward(self, u_btc: Tensor) -> Tensor:
        """Return B×T×C."""
        return u_btc + self.dropout(self.up(self.dropout(F.gelu(self.down(u_btc)))))


class Synthesis(nn.Module):
    """The queries of one layer: ``u = A_48(q + given)``, ``u ← u + α · SA(LN u)``, ``u ← u + β · A_48(LN u)``.

    SA is attention of one head among the queries, on one more LayerNorm for queries and one for keys and values, with
    A_8 in the place of the four linears and scale C^-0.5. Learned queries are drawn from U(−1, 1).

    Args:
        width: embed_dim C.
        queries: their number T.
        attention_scale, ffn_scale: what α and β start at.
        dropout: probability, also of a query's channels, in training; not in the four A_8.
    """

    def __init__(self, width: int, queries: int, attention_scale: float, ffn_scale: float, dropout: float):
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, width).uniform_(-1, 1))
        self.enter, self.ffn = Residual(width, WIDE, dropout), Residual(width, WIDE, dropout)
        self.q, self.k, self.v, self.out = (Residual(width, THIN) for _ in range(4))
        self.norm1, self.q_norm, self.kv_norm, self.norm2 = (nn.LayerNorm(width) for _ in range(4))
        self.attention_scale = nn.Parameter(torch.full((1,), float(attention_scale)))
        self.ffn_scale = nn.Parameter(torch.full((1,), float(ffn_scale)))
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = nn.LayerNorm(width)  # asked by `SynQT`, before the block's own norm

    def forward(self, batch: int, given_b1c: Tensor | None) -> Tensor:
        """Return B×T×C.

        Args:
            batch: images B.
            given_b1c: what is added to each learned query, of the layer before; None: nothing.
        """
        u_btc = self.queries.expand(batch, -1, -1)
        u_btc = self.enter(u_btc if given_b1c is None else u_btc + given_b1c)
        u_btc = u_btc + self._attention(self.norm1(u_btc)) * self.attention_scale
        return self.dropout(u_btc + self.ffn(self.norm2(u_btc)) * self.ffn_scale)

    def _attention(self, n_btc: Tensor) -> Tensor:
        q_btc, kv_btc = self.q(self.q_norm(n_btc)), self.kv_norm(n_btc)
        logits_btt = q_btc @ self.k(kv_btc).mT * n_btc.shape[-1] ** -0.5
        return self.dropout(self.out(self.dropout(logits_btt.softmax(-1)) @ self.v(kv_btc)))


class Combination(nn.Module):
    """One vector of 1 + 3L features: that of the last layer, all layers', then what attention and FFN add in each.

    ``g = f + A_48(LN f)`` for each, all but the first at times left out in training; then ``LN(mean(w ⊙ c ⊙ g))``
    with ``c = [1, tanh(dropout(GELU(linear(g_0))))]`` and learned w that start at 1. The last LayerNorm starts as the
    host's final one.

    Args:
        view: the host's view.
        dropout: probability, in training.
        drop_path: probability that an image goes without a feature, in training.
    """

    def __init__(self, view: View, dropout: float, drop_path: float):
        super().__init__()
        features = 1 + 3 * view.depth
        self.residual, self.norm = Residual(view.width, WIDE, dropout), nn.LayerNorm(view.width)
        self.condition = nn.Linear(view.width, features - 1)
        self.weights = nn.Parameter(torch.ones(features))
        self.dropout, self.drop_path = nn.Dropout(dropout), nn.Dropout(drop_path)
        self.head_norm = nn.LayerNorm(view.width)
        final = attrgetter(view.parts['norm'])(view.host) if 'norm' in view.parts else None
        if isinstance(final, nn.LayerNorm):
            self.head_norm.load_state_dict(final.state_dict(), strict=False)

    def forward(self, layers: tuple[tuple[Tensor, Tensor, Tensor], ...]) -> Tensor:
        """Return B×C.

        Args:
            layers: of each layer the means over its queries, B×1×C: after the block, of its attention, of its FFN.
        """
        after, attention, ffn = zip(*layers)
        f_bfc = torch.cat([after[-1], *after, *attention, *ffn], dim=1)
        g_bfc = f_bfc + self.residual(self.norm(f_bfc))
        rest_bfc = g_bfc[:, 1:]
        g_bfc = torch.cat([g_bfc[:, :1], rest_bfc * self.drop_path(torch.ones_like(rest_bfc[..., :1]))], dim=1)
        condition_bf = self.dropout(F.gelu(self.condition(g_bfc[:, 0]))).tanh()
        weight_bf = self.weights * torch.cat([torch.ones_like(condition_bf[:, :1]), condition_bf], dim=1)
        return self.head_norm((weight_bf.unsqueeze(-1) * g_bfc).mean(1))
