"""SynQT: queries that are synthesised beside the frozen network and run through its blocks ("Parameter-Efficient and
Memory-Efficient Tuning for Vision Transformer: A Disentangled Approach", Zhang et al., ECCV 2024, arXiv 2407.06964).
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.synthesis import Combination, Synthesis
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import attend_beside
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count, check_dropout, check_positive


@MODELS.register_module()
class SynQT(BaseAdapter):
    """T queries for each layer, synthesised from learned ones and from the layer before, run through its frozen block.

    ``p = QSM_i(A(q_i + s · o_{i-1}))`` (`Synthesis`), then the block as queries alone: ``h = attention(p; K, V of the
    tokens present)``, ``p ← p + h``, ``f = FFN(p)``, ``p ← p + f``; o_i, h_i and f_i are the means over the T. What
    the image is described by, and what every token is in the end, is one vector of all of them (`Combination`). The
    image's tokens never see the queries: alone, nothing is back-propagated through their stream.

    A query has no place in the image: it is not rotated on rotary hosts and gets no bias of places, as prompts do not.
    Keys count for it as they do among tokens (ToMe's sizes, masked tokens). It runs through the host's own operators:
    adapters in the same list act on the image's tokens, and merge into none of what the queries use.

    Of the released code's parameters one LayerNorm per layer and one weight per feature are in no equation. They train
    here where they change nothing at the start: before the block's norm of the queries, and as factors of features.

    Args:
        view: the host's view.
        queries: their number T; published per task, 1, 4 or 16.
        feature_scale: what s starts at; published per task, .1 or 1, as the next two.
        attention_scale: what the factor of the queries' attention among themselves starts at, in every layer.
        ffn_scale: what the factor of the bottleneck behind it starts at.
        dropout: probability, in all new parts, in training.
        drop_path: probability that an image goes without one of the features, but the first, in training.

    Raises:
        InputError: a number below 1, a scale that is no finite number above 0, a probability outside [0, 1).
    """

    sites = ('k', 'v')
    reads_rows = identity_at_start = False
    reads_weights = ('norm1', 'q', 'proj', 'norm2', 'fc1', 'fc2')
    one_vector = True
    _numbers = itertools.count()

    def __init__(
        self,
        view: View,
        queries: int = 4,
        feature_scale: float = 0.1,
        attention_scale: float = 1.0,
        ffn_scale: float = 0.1,
        dropout: float = 0.1,
        drop_path: float = 0.3,
    ):
        super().__init__()
        check_count('SynQT: received queries', queries, 4)
        scales = dict(feature_scale=feature_scale, attention_scale=attention_scale, ffn_scale=ffn_scale)
        for name, scale in scales.items():
            check_positive(f'SynQT: received {name}', scale, 0.1)
        check_dropout('SynQT', dropout)
        check_dropout('SynQT: drop_path', drop_path)
        self.view, self.key = view, f'synqt.{next(self._numbers)}'  # two in a list keep apart
        self.feature_scale = nn.Parameter(torch.full((1,), float(feature_scale)))
        self.layers = nn.ModuleDict(
            {
                str(layer): Synthesis(view.width, queries, attention_scale, ffn_scale, dropout)
                for layer in range(1, view.depth + 1)
            }
        )
        self.combination = Combination(view, dropout, drop_path)

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> SiteOutput:
        """At v, where keys and values are known, run the block a second time; they stay as they are."""
        if name == 'k':
            return SiteOutput(y, notes={f'{self.key}.k': y})
        part, past = self.layers[str(layer)], t.notes.get(self.key, ())
        before_b1c = past[-1][0] * self.feature_scale if past else None
        means = self._block(layer, part(len(y), before_b1c), t.notes[f'{self.key}.k'], y, t)
        return SiteOutput(y, notes={f'{self.key}.k': None, self.key: (*past, means)})

    def finish(self, t: Tokens) -> Tokens:
        """Let every token be the image's vector."""
        out_bnc = self.combination(t.notes[self.key]).unsqueeze(1).expand_as(t.x_bnc)
        # Distributed training waits for a gradient of all that trains in the last block, which nothing reads.
        return replace(t, x_bnc=out_bnc + 0 * t.x_bnc if t.x_bnc.requires_grad else out_bnc)

    def _block(
        self, layer: int, p_btc: Tensor, k_bnc: Tensor, v_bnc: Tensor, t: Tokens
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the queries are after the block, and what attention and FFN add: means over T, B×1×C each."""
        view, block = self.view, self.view.blocks[layer - 1]
        n_btc = view.norm1(block, self.layers[str(layer)].pre_norm(p_btc))
        q_btc = view.qkv(block, n_btc, n_btc[:, :0])[0]
        q_bhtd, k_bhnd, v_bhnd = view.heads_of(block, q_btc, k_bnc, v_bnc)
        k_bhnd = view.turn(block, k_bhnd, t)
        o_btc = attend_beside(q_bhtd, k_bhnd, v_bhnd, view.scale(block), view.attention_dropout(block), t)
        h_btc = view.attention_branch(block, view.proj(block, view.attended(block, o_btc)))
        p_btc = p_btc + h_btc
        z_btc = view.activation(block, view.fc1(block, view.norm2(block, p_btc)))
        f_btc = view.mlp_branch(block, view.fc2(block, z_btc))
        return (p_btc + f_btc).mean(1, keepdim=True), h_btc.mean(1, keepdim=True), f_btc.mean(1, keepdim=True)
