"""The attentive pooling of video classifiers: one learned query asks the tokens of all frames."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.projections import split_heads
from mmsparse.models.ops.attention import attend_beside
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, join_frames, put_prefix
from mmsparse.utils.value_checks import check_count


@MODELS.register_module()
class AttentivePooling(BaseModule):
    """One cross-attention of a learned query to all tokens of a clip, class tokens and registers of its frames among
    them, prompts not; with a linear classifier behind it the attentive head of DyT (arXiv 2403.11808) on video.

    ``out = proj(attention(q(LN_q(query)), k(LN_k(x)), v(LN_v(x))))``, without residual or FFN. Keys have no bias. The
    query starts at zero, so that all tokens have the same weight. Nothing tells when a frame was: their order makes no
    difference. Padding and masked tokens are not asked, and one that stands for s patches counts as s where it does
    so in the host (ToMe).

    Args:
        in_channels: width C of the tokens.
        num_heads: heads of the attention, which divide C.

    Raises:
        InputError: heads that do not divide the width, tokens of another width or none at all.
    """

    def __init__(self, in_channels: int, num_heads: int = 12):
        super().__init__()
        check_count('AttentivePooling: received in_channels', in_channels, 768)
        check_count('AttentivePooling: received num_heads', num_heads, 12)
        if in_channels % num_heads:
            raise InputError(
                f'AttentivePooling: received num_heads={num_heads}, which does not divide in_channels={in_channels}. '
                'Use as many heads as the host has.'
            )
        self.in_channels, self.heads = in_channels, num_heads
        self.query = nn.Parameter(torch.zeros(1, 1, in_channels))
        self.norm_q, self.norm_k, self.norm_v = (nn.LayerNorm(in_channels, eps=1e-6) for _ in range(3))
        self.q, self.k, self.v = (nn.Linear(in_channels, in_channels, bias=name != 'k') for name in 'qkv')
        self.proj = nn.Linear(in_channels, in_channels)
        for linear in (self.q, self.k, self.v, self.proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, layers: tuple[Tokens, ...]) -> tuple[Tensor]:
        """Return B×C, one row per clip (an image is a clip of one frame), from the backbone's last output."""
        t = layers[-1]
        if not isinstance(t, Tokens):
            raise InputError(
                "AttentivePooling: received feature tensors, expected Tokens. Set the backbone's out_type='tokens'."
            )
        if t.x_bnc.shape[2] != self.in_channels:
            raise InputError(
                f'AttentivePooling: received in_channels={self.in_channels}, but {t.x_bnc.shape[2]} channels arrive '
                f'from the host. Set model.neck.in_channels={t.x_bnc.shape[2]}.'
            )
        for span in t.spans:
            t = put_prefix(t, span, t.x_bnc[:, :0])
        t = join_frames(t)
        q_11c = self.q(self.norm_q(self.query))
        k_bnc, v_bnc = self.k(self.norm_k(t.x_bnc)), self.v(self.norm_v(t.x_bnc))
        q_bhqd = split_heads(q_11c.expand(len(t.x_bnc), -1, -1), self.heads)
        k_bhnd, v_bhnd = split_heads(k_bnc, self.heads), split_heads(v_bnc, self.heads)
        out_b1c = attend_beside(q_bhqd, k_bhnd, v_bhnd, (self.in_channels // self.heads) ** -0.5, 0.0, t)
        return (self.proj(out_b1c)[:, 0],)
