"""Attention that keeps queries, keys and values for its backward pass, and neither its output nor a copy of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mmsparse.models.ops.attention import attend, without_autocast


def attend_again(
    q_bhqd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor, scale: float, dropout: float, bias: Tensor | None = None
) -> Tensor:
    """Return what `attend` returns; the backward pass computes the output again, which fused attention asks for there.

    Dropped weights and a bias that trains are left to `attend`. Arguments and result as there.
    """
    if dropout or bias is not None and bias.requires_grad:
        return attend(q_bhqd, k_bhnd, v_bhnd, scale, dropout, bias)
    kind = q_bhqd.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else q_bhqd.dtype
    operands = (None if each is None else each.to(dtype) for each in (q_bhqd, k_bhnd, v_bhnd, bias))
    return _Attention.apply(*operands, scale).transpose(1, 2).flatten(2)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_bhqd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        ctx.save_for_backward(q_bhqd, k_bhnd, v_bhnd, bias)
        ctx.scale = scale
        return F.scaled_dot_product_attention(q_bhqd, k_bhnd, v_bhnd, attn_mask=bias, scale=scale)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_bhqd: Tensor) -> tuple[Tensor | None, ...]:
        *kept, bias = ctx.saved_tensors
        with torch.enable_grad(), without_autocast(gradient_bhqd.device):
            operands = [each.detach().requires_grad_(wanted) for each, wanted in zip(kept, ctx.needs_input_grad)]
            out_bhqd = F.scaled_dot_product_attention(*operands, attn_mask=bias, scale=ctx.scale)
        wanted = [each for each in operands if each.requires_grad]
        found = iter(torch.autograd.grad(out_bhqd, wanted, gradient_bhqd))
        return *(next(found) if each.requires_grad else None for each in operands), None, None
