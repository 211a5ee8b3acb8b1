"""Cropr: a learned query per layer says which patches go on, all come back for the last (Bergner et al., CVPR 2025,
arXiv 2412.00965)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier, strongest
from mmsparse.models.ops.attention import Probe, without_autocast
from mmsparse.models.ops.losses import LossContext
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens
from mmsparse.utils.value_checks import check_count


class Router(nn.Module):
    """One learned query that asks the tokens (sec. 3.1) and, in training alone, an auxiliary classifier of its answer.

    As published for classification: one head, the tokens themselves are keys and values. Starts as the published code
    does: the query from a truncated normal of variance 1/C, linears of standard deviation .02 without biases.

    Args:
        width: embed_dim.
        num_classes: of the auxiliary head.
    """

    def __init__(self, width: int, num_classes: int):
        super().__init__()
        self.query, spread = nn.Parameter(torch.empty(1, width)), width**-0.5
        nn.init.trunc_normal_(self.query, std=spread, a=-2 * spread, b=2 * spread)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))
        for linear in (self.mlp[0], self.mlp[2], self.head[1]):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)

    def score(self, x_bnc: Tensor) -> Tensor:
        """Return the products of the query and each token, B×N, float32 or wider."""
        with without_autocast(x_bnc.device):
            wide = torch.promote_types(x_bnc.dtype, torch.float32)
            return F.linear(x_bnc.to(wide), self.query.to(wide)).squeeze(-1)

    def forward(self, x_bnc: Tensor, score_bn: Tensor) -> Tensor:
        """Return the auxiliary head's logits, B×classes, of the tokens weighted by softmax(score/√C)."""
        weight_b1n = (score_bn * x_bnc.shape[2] ** -0.5).softmax(-1).unsqueeze(1)
        told_bc = (weight_b1n.to(x_bnc.dtype) @ x_bnc).squeeze(1)
        return self.head(told_bc + self.mlp(self.norm(told_bc)))


@MODELS.register_module()
class Cropr(BaseSparsifier):
    """Between two blocks take out the patch tokens that a learned query scores lowest; before the last block all come
    back, as they were when they left ('last layer fusion', sec. 3.3).

    `pruned` leave after every block up to the last but two, and one more after the first, as published. The queries
    learn by auxiliary heads, each with the loss of the model's head, mixed labels included; no gradient goes from
    these into the network. In evaluation of a router its query alone runs. Needs `mmsparse.SparseClassifier`.

    Args:
        view: the host's view, of three layers at least.
        num_classes: of the auxiliary heads: the model's head tells as many apart.
        pruned: patch tokens that leave at a time; one stays in any case. The paper's ViT-L: 8.

    Raises:
        InputError: a count below 1, or a host of fewer than three layers.
    """

    stage, brings_back = 'before', True

    def __init__(self, view: View, num_classes: int, pruned: int = 8):
        super().__init__()
        check_count('Cropr: received num_classes', num_classes, 100)
        check_count('Cropr: received pruned', pruned, 8)
        if view.depth < 3:
            raise InputError(
                f'Cropr: received the host {view.name} of {view.depth} layers. Tokens leave behind the first and come '
                'back before the last, with a layer between. Use a host of three layers at least.'
            )
        self.num_classes, self.pruned = num_classes, pruned
        self.layers = tuple(range(2, view.depth + 1))  # before them; the last has the tokens back
        self.routers = nn.ModuleDict({str(layer): Router(view.width, num_classes) for layer in self.layers[:-1]})

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Rank the patches by the layer's query; before the last layer let all come back."""
        if layer not in self.layers:
            return None
        if layer == self.layers[-1]:
            return Plan.stay(tokens, brings_back=True)
        router, x_bnc = self.routers[str(layer)], tokens.x_bnc.detach()
        score_bn = router.score(x_bnc)
        notes = {f'cropr.{layer}': router(x_bnc, score_bn)} if self.training else {}
        keep = max(1, tokens.patches - self.pruned - int(layer == self.layers[0]))
        if keep >= tokens.patches:
            return Plan.stay(tokens, notes=notes)
        return replace(Plan.keep(tokens, strongest(score_bn[:, tokens.prefix :], keep)), notes=notes)

    def losses(self, ctx: LossContext) -> dict[str, Tensor]:
        """The head's loss on the answers of all auxiliary heads, summed (sec. 3.2)."""
        told = (ctx.sparse.tokens.notes[f'cropr.{layer}'] for layer in self.layers[:-1])
        return {'loss_cropr': sum(ctx.task_loss(logits_bk) for logits_bk in told)}
