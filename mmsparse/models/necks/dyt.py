"""DyT's token dispatcher: which tokens need the frozen FFN (Zhao et al., NeurIPS 2024, arXiv 2403.11808)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.ops.attention import Probe
from mmsparse.models.ops.losses import LossContext, divergence
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens
from mmsparse.utils.value_checks import check_rate, check_weight

TEMPERATURE = 5.0


@MODELS.register_module(name='DyTDispatcher')
class DyTDispatcher(BaseSparsifier):
    """Let each layer decide which patches enter its FFN; attention and adapters see all tokens ('MLP dispatch', sec.
    3.2).

    In training a Gumbel sigmoid chooses, hard forward and soft backward; in evaluation the FFN is really skipped.
    Prefix tokens are always active. Needs `mmsparse.SparseClassifier`: complete-model loss, distillation and rate
    loss.

    Args:
        view: the host's view.
        rate: share of the patches present that the rate loss wants active, mean over layers and images, in (0, 1].
        rate_weight: weight of the squared distance from it, at least 0.
    """

    moves_rows = False
    by_image = chooses_ffn = True

    def __init__(self, view: View, rate: float = 0.5, rate_weight: float = 2.0):
        super().__init__()
        check_rate('DyTDispatcher: rate', rate)
        check_weight('DyTDispatcher: rate_weight', rate_weight)
        self.rate, self.rate_weight, self.layers = rate, rate_weight, tuple(range(1, view.depth + 1))
        self.dispatchers = nn.ModuleDict({str(layer): nn.Linear(view.width, 1) for layer in self.layers})
        for dispatcher in self.dispatchers.values():
            nn.init.trunc_normal_(dispatcher.weight, std=0.02)
            nn.init.zeros_(dispatcher.bias)

    @property
    def reads_rows(self) -> bool:
        """The rate loss counts the last layer's tokens too; in evaluation nobody does."""
        return self.training

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan:
        """Choose the tokens of this layer's FFN; all tokens stay in the stream."""
        logit_bm = self.dispatchers[str(layer)](tokens.x_bnc[:, tokens.prefix :]).squeeze(-1).float()
        active_bm = (logit_bm > 0).to(logit_bm.dtype)
        if self.training:
            # The difference of two Gumbel draws is a logistic one.
            uniform_bm = torch.rand_like(logit_bm).clamp(1e-6, 1 - 1e-6)
            soft_bm = ((logit_bm + uniform_bm.logit()) / TEMPERATURE).sigmoid()
            active_bm = (soft_bm > 0.5).to(soft_bm.dtype) + soft_bm - soft_bm.detach()
        rate_b = active_bm.mean(1)
        if tokens.mask_bn is not None:
            mask_bm = tokens.mask_bn[:, tokens.prefix :]
            # Of the valid tokens: padding is the rest of the batch's doing, and what another method has masked will
            # have left in evaluation.
            valid_bm = mask_bm.detach()
            rate_b = (active_bm * valid_bm).sum(1) / valid_bm.sum(1).clamp(min=1)
            active_bm = active_bm * mask_bm
        ffn_bn = F.pad(active_bm, (tokens.prefix, 0), value=1.0)
        return Plan.stay(tokens, ffn_bn=ffn_bn, notes={f'dyt.{layer}': rate_b})

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """Complete-model losses, KL(complete‖dynamic) and rate loss (eq. 5–7)."""
        complete = ctx.complete
        kl = divergence(ctx.sparse, complete)
        rate = self._active(ctx.sparse.tokens).mean()
        task = {f'{name}_complete': value for name, value in complete.task_losses().items() if 'loss' in name}
        return task | {
            'loss_dyt_distill': kl,
            'loss_dyt_rate': self.rate_weight * (rate - self.rate).square(),
            'dyt_rate': rate.detach(),
        }

    def report(self, tokens: Tokens) -> dict[str, Tensor]:
        """The share of the patches present that entered the FFN, B, mean over the layers asked."""
        return {'ffn_rate': self._active(tokens).mean(0)}

    @staticmethod
    def _active(tokens: Tokens) -> Tensor:
        return torch.stack([value_b for name, value_b in tokens.notes.items() if name.startswith('dyt.')])
