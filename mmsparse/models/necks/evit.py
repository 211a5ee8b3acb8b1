"""EViT: keep what the class token attends to, fuse the rest (Liang et al., ICLR 2022, arXiv 2202.07800)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import KeepRateSparsifier, asked, kept, strongest
from mmsparse.models.necks.scores import SCORES, chosen
from mmsparse.models.ops.attention import Probe
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens
from mmsparse.utils.value_checks import check_flag, check_word

FUSE = ('merge', 'drop', 'argmax')


@MODELS.register_module()
class EViT(KeepRateSparsifier):
    """Keep ceil(rate·n) of the n present patch tokens at some layers, after attention and before the FFN.

    The fused token of an earlier layer competes like any other.
    Survivors keep their order; what is fused comes last.

    Args:
        view: the host's view.
        layers: where to reduce, counted from 1 (Sparse-Tuning, Table IX: 4, 7, 10).
        keep_rate: share of the present patches that stay, in (0, 1].
        fuse: 'merge': one weighted sum of the others; 'drop': they leave; 'argmax': the most attended of them stays,
            the rest leave (Sparse-Tuning, Table VIII).
        normalize: divide the weights of the sum by their total (Sparse-Tuning, sec. III-A); False: the raw attention
            (EViT's code).
        score: what a patch token's rank rests on: 'class', the class token's attention (EViT); 'received', the
            attention it receives from all tokens; 'key_norm'; 'shift', what the previous FFN added to it. A host
            without class token must name one of the last three.
    """

    asks_attention = True
    reads_input = False

    def __init__(
        self,
        view: View,
        layers: Sequence[int] = (4, 7, 10),
        keep_rate: float = 0.7,
        fuse: str = 'merge',
        normalize: bool = True,
        score: str = 'class',
    ):
        super().__init__(view, layers, keep_rate)
        check_word('EViT: received fuse', fuse, FUSE)
        check_flag('EViT: received normalize', normalize)
        self.fuse, self.normalize = fuse, normalize
        self.score = chosen('EViT', score, SCORES, view, self.layers)
        if fuse == 'merge' and not normalize and not self.score.sums_to_one:
            raise InputError(
                f'EViT: normalize=False takes the scores as weights, and those of score={score!r} are no shares. Use '
                'normalize=True.'
            )

    @property
    def sites(self) -> tuple[str, ...]:
        """Where the score looks."""
        return self.score.sites

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> SiteOutput:
        """Let the score see what the host's operator gave."""
        return SiteOutput(y, self.score.see(y))

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Rank the patches by their score."""
        keep = kept(tokens.patches, self.keep_rate)
        if layer not in self.layers or keep == tokens.patches:
            return None
        score_bn = self.score(asked('EViT', layer, probe), tokens)
        if tokens.mask_bn is not None:
            # scores are never negative: what is not valid ranks last
            score_bn = score_bn.masked_fill(tokens.mask_bn <= 0, 0.0)
        score_bm = score_bn[:, tokens.prefix :]
        kept_bk = strongest(score_bm, keep)
        if self.fuse == 'argmax':
            next_b1 = score_bm.scatter(1, kept_bk, float('-inf')).argmax(1, keepdim=True)
            return Plan.keep(tokens, torch.cat([kept_bk, next_b1], dim=1))
        plan = Plan.keep(tokens, kept_bk)
        if self.fuse == 'drop':
            return plan
        if self.normalize:
            rest_b1 = score_bn.masked_fill(plan.index_bn >= 0, 0.0).sum(1, keepdim=True)
            score_bn = score_bn / rest_b1.clamp(min=torch.finfo(score_bn.dtype).tiny)
        return plan.fuse_rest(score_bn)
