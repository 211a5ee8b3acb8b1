"""Compare features with texts, and turn queries into classes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.ops.attention import without_autocast


class TextHead(nn.Module):
    """The words that stand for the classes; nothing in it trains, and nothing of it is part of a state.

    Args:
        project: brings visual features, …×C, into the space of the texts, …×D.
        text_qd: one unit vector per query.
        query_class: class of each query.
        scale: factor of the cosines before the softmax.
    """

    def __init__(
        self, project: Callable[[Tensor], Tensor], text_qd: Tensor, query_class: tuple[int, ...], scale: float
    ):
        super().__init__()
        self.project = project  # the host's, and no part of this module
        self.register_buffer('text_qd', text_qd, persistent=False)
        self.register_buffer('query_class', torch.tensor(query_class), persistent=False)
        self.classes, self.scale = max(query_class) + 1, scale

    def forward(self, feat_bchw: Tensor) -> Tensor:
        """Return the cosine of every query, B×Q×h×w, float32 or wider: 40 times the rounding of bfloat16 would decide
        between words.
        """
        unit_bhwd = self.unit(feat_bchw)
        with without_autocast(unit_bhwd.device):
            return torch.einsum('bhwd,qd->bqhw', unit_bhwd, self.text_qd.to(unit_bhwd.dtype))

    def unit(self, feat_bchw: Tensor) -> Tensor:
        """Return unit vectors in the space of the texts, B×h×w×D, float32 or wider."""
        z_bhwd = self.project(feat_bchw.permute(0, 2, 3, 1))
        return F.normalize(z_bhwd.to(torch.promote_types(z_bhwd.dtype, torch.float32)), dim=-1)

    def probabilities(self, cosine_qhw: Tensor) -> Tensor:
        """Return K×H×W: softmax over the queries, then of each class the best of its words."""
        return self._best((cosine_qhw * self.scale).softmax(0).unsqueeze(0))[0]

    def logits(self, cosine_bqhw: Tensor) -> Tensor:
        """Return B×K×H×W, scaled cosines of each class's best word, to train on."""
        return self.scale * self._best(cosine_bqhw)

    def _best(self, x_bqhw: Tensor) -> Tensor:
        index_bqhw = self.query_class.view(1, -1, 1, 1).expand_as(x_bqhw)
        blank = x_bqhw.new_zeros(len(x_bqhw), self.classes, *x_bqhw.shape[2:])
        return blank.scatter_reduce(1, index_bqhw, x_bqhw, 'amax', include_self=False)
