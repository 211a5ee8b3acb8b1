"""ProxyCLIP: the last block's attention is replaced by the affinity of another network's features (Lan et al., ECCV
2024, arXiv 2408.04883).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models import BaseReadout
from mmsparse.models.hosts.views.view import View
from mmsparse.models.ops.attention import attend_affinity, without_autocast
from mmsparse.registry import MODELS
from mmsparse.tokens import RESTORE, Tokens, present, restore, settle


class ProxyAttention(nn.Module):
    """Attention by the cosines S of another network's features: softmax(γ(S − β·mean S)), negative logits closed (eq.
    4–6).

    A module of its own, so that a cost account can tell it from CLIP by its scope.

    Args:
        beta: shift.
        gamma: sharpness.
    """

    def __init__(self, beta: float, gamma: float):
        super().__init__()
        self.beta, self.gamma = beta, gamma

    def forward(self, context_bchw: Tensor, v_bnc: Tensor, fold: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Mix values.

        Args:
            context_bchw: features, B×C×h×w.
            v_bnc: values, one per position of the features.
            fold: brings an affinity B×N×N to the columns that the values have, if those are others.

        Returns:
            B×N×C in the type of the values; N = h·w.
        """
        logits_bnn = self.logits(context_bchw)
        if fold is None:
            return attend_affinity(logits_bnn, v_bnc)
        return fold(logits_bnn.softmax(-1)).to(v_bnc.dtype) @ v_bnc

    def logits(self, context_bchw: Tensor) -> Tensor:
        """Return B×N×N, float32 or wider, −∞ where closed; a position is never closed to itself.

        An image of nearly one colour (β·mean S > 1) would have all its pairs closed: there the mask is left out, and
        the attention is nearly uniform.
        """
        wide = torch.promote_types(context_bchw.dtype, torch.float32)
        # bfloat16 similarities would open and close pairs at random.
        with without_autocast(context_bchw.device):
            unit_bnc = F.normalize(context_bchw.flatten(2).transpose(1, 2).to(wide), dim=-1)
            s_bnn = unit_bnc @ unit_bnc.transpose(1, 2)
            shift_b11 = self.beta * s_bnn.mean((1, 2), keepdim=True)
            a_bnn = (s_bnn - shift_b11) * self.gamma
            others_nn = ~torch.eye(a_bnn.shape[1], dtype=torch.bool, device=a_bnn.device)
            return a_bnn.masked_fill((a_bnn < 0) & (shift_b11 <= 1) & others_nn, float('-inf'))


@MODELS.register_module()
class ProxyReadout(BaseReadout):
    """Values of the last block, mixed by a proxy's affinity on the proxy's grid; no residual and no FFN follow.

    One affinity serves all heads. Its rows sum to one, so the output projection may come first, on the fewer rows of
    CLIP.

    Args:
        view: the host's view.
        beta, gamma: shift and sharpness of the affinity.
        restore: how each patch of CLIP's grid gets a value after a reduction: 'gather', 'stale' or 'delta'
            (`mmsparse.tokens.restore`; the last two need ``SparseViT(stash=True)``). A dropped patch that nothing
            stands for contributes nothing under 'gather'.
        fold: gather and interpolation are applied to the columns of the affinity instead of the values: the same
            result from a smaller product. Exact for 'gather' only.

    Raises:
        InputError: an unknown mode, fold with another mode than gather, a host with a norm between attention and
            projection, or no features handed in.
    """

    operators = ('norm1', 'v', 'proj')

    def __init__(self, view: View, beta: float = 1.2, gamma: float = 3.0, restore: str = 'gather', fold: bool = False):
        super().__init__(view)
        if restore not in RESTORE:
            raise InputError(f'ProxyReadout: received restore={restore!r}, expected one of {RESTORE}.')
        if fold and restore != 'gather':
            raise InputError(
                f"ProxyReadout: fold=True is exact for restore='gather' only, received {restore!r}. Leave fold out."
            )
        row_11c = torch.empty(1, 1, view.width)
        if view.attended(self.block, row_11c) is not row_11c:  # what does nothing hands back what it got
            raise InputError(
                f'ProxyReadout: {view.name} has a norm between attention and projection: values cannot be projected '
                'first. Use CLIP.'
            )
        self.attention = ProxyAttention(beta, gamma)
        self.restore, self.fold = restore, fold

    def forward(self, tokens: Tokens, context: Tensor | None) -> Tokens:
        """Return one row per position of the proxy's grid.

        Args:
            tokens: the stream before the last block.
            context: the proxy's features, B×C×h×w.
        """
        if context is None:
            raise InputError(
                "ProxyReadout: received no features. Call forward_tokens(images, context) with the proxy's, B×C×h×w."
            )
        grid = tuple(context.shape[-2:])
        if self.fold:
            mixed_bnc = self.attention(
                context, self._values(tokens.x_bnc), partial(_columns, grid=grid, tokens=tokens)
            )
        else:
            mixed_bnc = self.attention(context, self._on_grid(tokens, grid))
        return replace(Tokens.start(mixed_bnc, prefix=0, grid=grid), notes=tokens.notes)

    def _values(self, x_bnc: Tensor) -> Tensor:
        return self.view.proj(self.block, self.view.values(self.block, self.view.norm1(self.block, x_bnc)))

    def _on_grid(self, tokens: Tokens, grid: tuple[int, int]) -> Tensor:
        """Values on the proxy's grid, B×N×C."""
        if self.restore == 'gather':
            v_bchw = restore(replace(tokens, x_bnc=self._values(tokens.x_bnc)))
        else:
            x_bchw = restore(settle(tokens, lambda x_bmc: x_bmc), self.restore)
            v_bchw = self._values(x_bchw.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, tokens.grid)
        if grid != tokens.grid:
            v_bchw = F.interpolate(v_bchw, size=grid, mode='bilinear', align_corners=False)
        return v_bchw.flatten(2).transpose(1, 2)


def _columns(p_bqn: Tensor, grid: tuple[int, int], tokens: Tokens) -> Tensor:
    """Turn shares of the positions of a grid, B×Q×N, into shares of CLIP's rows, B×Q×rows."""
    p_bqhw = p_bqn.unflatten(2, grid)
    if grid != tokens.grid:
        rows_yh, columns_xw = (_bilinear(own, wanted, p_bqn) for own, wanted in zip(tokens.grid, grid))
        p_bqhw = rows_yh.T @ (p_bqhw @ columns_xw)
    p_bqm = p_bqhw.flatten(2) * present(tokens).unsqueeze(1)
    rows_bqm = tokens.source_bm.clamp(min=0).unsqueeze(1).expand_as(p_bqm)
    return p_bqm.new_zeros(*p_bqm.shape[:2], tokens.x_bnc.shape[1]).scatter_add(2, rows_bqm, p_bqm)


def _bilinear(own: int, wanted: int, like: Tensor) -> Tensor:
    """The matrix, wanted×own, by which bilinear interpolation acts along one side."""
    eye = torch.eye(own, device=like.device, dtype=like.dtype).unsqueeze(0)
    return F.interpolate(eye, size=wanted, mode='linear', align_corners=False)[0].T
