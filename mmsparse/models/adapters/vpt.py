"""VPT: learned prompt tokens in the sequence, from the paper's description (Jia et al., ECCV 2022, arXiv
2203.12119).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens, put_prefix
from mmsparse.utils.value_checks import check_count, check_flag


@MODELS.register_module()
class VPT(BaseAdapter):
    """Put p learned prompt tokens between class token and patches, once (shallow) or anew in every layer (deep).

    They are prefix tokens: no sparsifier takes them for patches. Drawn from U(-v, v),
    v = √(6 / (values of a patch + embed_dim)).

    Args:
        view: the host's view.
        num_prompts: p, at least 1.
        deep: each layer from the second on replaces the prompts that leave the layer before.

    Raises:
        InputError: a number below 1, a `deep` that is neither True nor False.
    """

    identity_at_start = False
    span = 'VPT'
    apart = 'adds tokens, which no weight of the host does'

    def __init__(self, view: View, num_prompts: int = 8, deep: bool = True):
        super().__init__()
        check_count('VPT: received num_prompts', num_prompts, 8)
        check_flag('VPT: received deep', deep)
        bound = math.sqrt(6 / (3 * view.patch[0] * view.patch[1] + view.width))
        self.prompts = nn.Parameter(
            torch.empty(view.depth if deep else 1, num_prompts, view.width).uniform_(-bound, bound)
        )

    def tokens(self, layer: int, t: Tokens) -> Tokens:
        """Insert prompts before the first block; replace them before the others."""
        if layer > len(self.prompts):
            return t
        rows_bpc = self.prompts[layer - 1].to(t.x_bnc.dtype).expand(len(t.x_bnc), -1, -1)
        return put_prefix(t, self.span, rows_bpc)
