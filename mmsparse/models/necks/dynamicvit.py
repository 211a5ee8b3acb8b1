"""DynamicViT: small predictors say which patches stay (Rao et al., NeurIPS 2021, arXiv 2106.02034)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import refuse
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier, check_layers, strongest
from mmsparse.models.ops.attention import Probe
from mmsparse.models.ops.losses import LossContext, divergence
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens, present, rows_of
from mmsparse.utils.value_checks import check_rate, check_weight, is_list


class TokenScorer(nn.Module):
    """Log-probabilities of staying and leaving for each patch (sec. 3.2): local features beside the mean over the
    patches still kept."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.local = nn.Linear(width, width)
        self.head = nn.Sequential(
            nn.Linear(width, width // 2),
            nn.GELU(),
            nn.Linear(width // 2, width // 4),
            nn.GELU(),
            nn.Linear(width // 4, 2),
        )

    def forward(self, x_bnc: Tensor, mask_bn: Tensor) -> Tensor:
        """Return B×N×2 (stay, leave).

        Args:
            x_bnc: patches, without prefix.
            mask_bn: which of them are still kept.
        """
        local_bnd, pooled_bnd = F.gelu(self.local(self.norm(x_bnc))).chunk(2, dim=-1)
        mask_bn1 = mask_bn.unsqueeze(-1).to(pooled_bnd.dtype)
        mean_b1d = (pooled_bnd * mask_bn1).sum(1, keepdim=True) / mask_bn1.sum(1, keepdim=True).clamp(min=1)
        return self.head(torch.cat([local_bnd, mean_b1d.expand_as(pooled_bnd)], dim=-1)).log_softmax(-1)


@MODELS.register_module()
class DynamicViT(BaseSparsifier):
    """Predict before some blocks which patches stay.

    In training a hard Gumbel choice multiplies into a mask that the following attention honours with gradient; nothing
    leaves, so the predictor learns. In evaluation the int(rate·patches) highest scores stay (one at least), in image
    order, before the block: attention gets cheaper too. Needs `mmsparse.SparseClassifier`: cross-entropy + ratio loss
    + distillation from the unreduced model (logits) and from the host without adapters (tokens). That target stands
    still while the host is frozen; under FullTuning and BitFit it moves with the weights that train.

    Args:
        view: the host's view.
        layers: before which blocks, counted from 1.
        keep_rates: share of the image's patches that remain from each of them on, in (0, 1], never rising.
        ratio_weight: weight of the squared distance of the kept share from its rate, mean over the stages. Weights are
            at least 0.
        distill_weight: weight of KL(teacher‖student) on logits.
        token_weight: weight of the squared distance of the kept patches from the host's own.
    """

    stage = 'before'
    leaves_invalid = True  # in training

    def __init__(
        self,
        view: View,
        layers: Sequence[int] = (4, 7, 10),
        keep_rates: Sequence[float] = (0.7, 0.49, 0.343),
        ratio_weight: float = 2.0,
        distill_weight: float = 0.5,
        token_weight: float = 0.5,
    ):
        super().__init__()
        check_layers('DynamicViT', view, layers)
        refuse(f'DynamicViT: received {fault}' for fault in self._faults(view, layers, keep_rates))
        self.layers, self.rates = tuple(layers), dict(zip(layers, keep_rates))
        self.weights = dict(ratio=ratio_weight, logits=distill_weight, tokens=token_weight)
        for name, weight in zip(('ratio_weight', 'distill_weight', 'token_weight'), self.weights.values()):
            check_weight(f'DynamicViT: {name}', weight)
        self.predictors = nn.ModuleDict({str(layer): TokenScorer(view.width) for layer in layers})

    @staticmethod
    def _faults(view: View, layers: Sequence[int], rates: Sequence[float]) -> Iterator[str]:
        if not is_list(rates):
            yield f'keep_rates={rates!r}, expected a list with one rate for each of the layers {tuple(layers)}.'
        if len(rates) != len(layers):
            yield f'{len(rates)} keep_rates for {len(layers)} layers, expected one for each.'
        for rate in rates:
            check_rate('DynamicViT: keep_rates', rate)
        if any(later > earlier for earlier, later in zip(rates, rates[1:])):
            rising = f'keep_rates={tuple(rates)}, which rise'
            yield f'{rising}; a patch that has left does not return. Put the higher first.'
        if int(rates[-1] * view.patches) < 1:
            yield f'keep_rates={tuple(rates)}, which leave none of {view.patches} patches. Use higher rates.'

    @property
    def reads_rows(self) -> bool:
        """The distillation compares all tokens of the last layer; in evaluation nobody does."""
        return self.training

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Choose before the block: a mask in training, a gather in evaluation."""
        if layer not in self.layers:
            return None
        prefix = tokens.prefix
        mask_bn = torch.ones_like(tokens.x_bnc[..., 0]) if tokens.mask_bn is None else tokens.mask_bn
        logp_bm2 = self.predictors[str(layer)](tokens.x_bnc[:, prefix:], mask_bn[:, prefix:])
        if self.training:
            stay_bm = F.gumbel_softmax(logp_bm2.float(), hard=True)[..., 0] * mask_bn[:, prefix:]
            mask_bn = torch.cat([mask_bn[:, :prefix], stay_bm], dim=1)
            # of the image's patches, like the rates, whatever another method took before
            share_b = stay_bm.sum(1) / tokens.source_bm.shape[1]
            return Plan.stay(tokens, mask_bn=mask_bn, notes={f'dynamicvit.{layer}': share_b})
        # in this order: .29 · 10 · 10 is 29 in floats, .29 · 100 is not
        keep = max(1, int(self.rates[layer] * tokens.source_bm.shape[1]))
        if keep >= tokens.patches:
            return None
        return Plan.keep(tokens, strongest(logp_bm2[..., 0], keep))

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Ratio loss (eq. 13), distillation of logits and of the patches that are kept to the end (eq. 11, 12), each
        by the token it is now in."""
        t, host = ctx.sparse.tokens, ctx.host_tokens
        shares = {layer: t.notes[f'dynamicvit.{layer}'] for layer in self.layers}
        ratios = [(share_b - self.rates[layer]).square().mean() for layer, share_b in shares.items()]
        kl = divergence(ctx.sparse, ctx.teacher)
        kept_bm = present(t)
        far_bm = (rows_of(t) - rows_of(host)).square().mean(-1)
        return {
            'loss_dynamicvit_ratio': self.weights['ratio'] * sum(ratios) / len(ratios),
            'loss_dynamicvit_logits': self.weights['logits'] * kl,
            'loss_dynamicvit_tokens': self.weights['tokens'] * (far_bm * kept_bm).sum() / kept_bm.sum().clamp(min=1),
            'dynamicvit_kept': shares[self.layers[-1]].detach().mean(),
        }
