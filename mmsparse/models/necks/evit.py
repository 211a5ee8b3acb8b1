"""EViT: keep the patches that the class token attends to, fuse the rest (Liang et al., ICLR 2022, arXiv 2202.07800)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.tokens import Plan, Tokens

from ..attention import ClassAttention, Probe
from ..views.base import View
from .base import BaseSparsifier, kept

FUSE = ('merge', 'drop', 'argmax')


@MODELS.register_module()
class EViT(BaseSparsifier):
    """Keep ceil(rate·n) of the n present patches at some layers, after attention and before the FFN.

    A patch's score is the class token's attention to it, mean over heads. An earlier fused row competes like any other.
    Survivors keep their order; what is fused comes last.

    Args:
        view: the host's view.
        layers: where to reduce, counted from 1 (Sparse-Tuning, Table IX: 4, 7, 10).
        keep_rate: share of the present patches that stay, in (0, 1].
        fuse: 'merge': one weighted sum of the others; 'drop': they leave; 'argmax': the most attended of them stays, the rest leave
            (Sparse-Tuning, Table VIII).
        normalize: divide the weights of the sum by their total (Sparse-Tuning, sec. III-A); False: the raw attention (EViT's code).
    """

    def __init__(self, view: View, layers: Sequence[int] = (4, 7, 10), keep_rate: float = 0.7, fuse: str = 'merge', normalize: bool = True):
        super().__init__(view, layers, keep_rate)
        if fuse not in FUSE:
            raise InputError(f'EViT: received fuse={fuse!r}, expected one of {FUSE}.')
        if not view.class_token:
            raise InputError(f"EViT: its score is the class token's attention, and the host {view.name} has no class token. Use a host that has one.")
        self.fuse, self.normalize = fuse, normalize
        self.score = ClassAttention()

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Rank the patches by the class token's attention."""
        keep = kept(tokens.patches, self.keep_rate)
        if layer not in self.layers or keep == tokens.patches:
            return None
        if probe is None:
            raise InputError(
                f'EViT: another sparsifier reduced layer {layer} before it, so no attention describes the present rows. Choose other layers.'
            )
        score_bn = self.score(probe)
        ranked_bk = score_bn[:, tokens.prefix :].topk(keep + 1, dim=1).indices
        kept_bk, next_b1 = ranked_bk[:, :keep].sort(dim=1).values, ranked_bk[:, keep:]
        if self.fuse == 'argmax':
            return Plan.keep(tokens, torch.cat([kept_bk, next_b1], dim=1))
        plan = Plan.keep(tokens, kept_bk)
        if self.fuse == 'drop':
            return plan
        if self.normalize:
            rest_b1 = score_bn.masked_fill(plan.index_bn >= 0, 0.0).sum(1, keepdim=True)
            score_bn = score_bn / rest_b1.clamp(min=torch.finfo(score_bn.dtype).tiny)
        return plan.fuse_rest(score_bn)
