"""Attention forms. Fused attention runs wherever nobody needs gradients of a mask."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmsparse.structures import Tokens

EPSILON = 1e-6


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Keep the precision of the operands; the meta device, on which costs are counted, knows no other."""
    return nullcontext() if device.type == 'meta' else torch.autocast(device.type, enabled=False)


def attend(
    q_bhqd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor, scale: float, dropout: float, bias: Tensor | None = None
) -> Tensor:
    """Return softmax(q·kᵀ·scale + bias)·v with heads joined.

    Args:
        q_bhqd: queries, B×H×Q×d; Q may be smaller than the number of keys.
        k_bhnd: keys, B×H×N×d.
        v_bhnd: values, B×H×N×d.
        scale: factor of the logits, usually d^-0.5.
        dropout: probability of an attention weight to be dropped, 0 outside training.
        bias: added to the logits, broadcast to B×H×Q×N; see `key_bias`.

    Returns:
        B×Q×(H·d).
    """
    bias = None if bias is None else bias.to(q_bhqd.dtype)
    out_bhqd = F.scaled_dot_product_attention(q_bhqd, k_bhnd, v_bhnd, attn_mask=bias, dropout_p=dropout, scale=scale)
    return out_bhqd.transpose(1, 2).flatten(2)


def attend_masked(
    q_bhqd: Tensor,
    k_bhnd: Tensor,
    v_bhnd: Tensor,
    scale: float,
    dropout: float,
    mask_bn: Tensor,
    bias: Tensor | None = None,
    itself: bool = True,
) -> Tensor:
    """Attention with a multiplicative key mask that has a gradient (DynamicViT, eq. 10–11): a boolean mask would give
    its predictor none.

    A token always attends to itself; queries that are no tokens have no such key (`itself=False`). Other arguments and
    result as in `attend`; mask_bn is B×N, 1 or 0.
    """
    wide = torch.promote_types(q_bhqd.dtype, torch.float32)
    # half-precision logits would be rounded, and overflow, where fused attention keeps them
    with without_autocast(k_bhnd.device):
        logits_bhqn = (q_bhqd.to(wide) * scale) @ k_bhnd.to(wide).transpose(-2, -1)
    logits_bhqn = logits_bhqn if bias is None else logits_bhqn + bias
    queries, keys = logits_bhqn.shape[-2:]
    mask_b1qn = mask_bn.to(wide)[:, None, None, :]
    if itself:
        self_qn = torch.eye(queries, keys, dtype=wide, device=mask_bn.device)
        mask_b1qn = mask_b1qn + (1 - mask_b1qn) * self_qn
    # The largest logit of the tokens that are seen: below a dead token's larger one, ε would weigh as much as they do.
    top_bhq1 = logits_bhqn.masked_fill(mask_b1qn <= 0, float('-inf')).amax(-1, keepdim=True)
    e_bhqn = (logits_bhqn - top_bhq1).clamp(max=0).exp() * mask_b1qn
    a_bhqn = (e_bhqn + EPSILON / keys) / (e_bhqn.sum(-1, keepdim=True) + EPSILON)
    return (F.dropout(a_bhqn, dropout, training=dropout > 0).to(v_bhnd.dtype) @ v_bhnd).transpose(1, 2).flatten(2)


def attend_affinity(logits_bqn: Tensor, v_bnc: Tensor) -> Tensor:
    """Attention by an affinity from outside, one for all heads: softmax(logits)·v (ProxyCLIP, arXiv 2408.04883).

    Args:
        logits_bqn: B×Q×N, float32 or wider; −∞ closes a pair, and every token needs an open one.
        v_bnc: values, heads joined, B×N×C.

    Returns:
        B×Q×C in the type of the values.
    """
    return logits_bqn.softmax(-1).to(v_bnc.dtype) @ v_bnc


def key_bias(t: Tokens, queries: int | None, masked: bool, bias: Tensor | None = None) -> Tensor | None:
    """Return what the logits of the keys get added, broadcast to B×H×Q×N, or None.

    Args:
        t: the tokens that are keys; where they are proportional, one for s patches counts as s keys: log s (ToMe,
            sec. 3).
        queries: the first so many tokens ask; None: queries that are no tokens.
        masked: invalid tokens get −∞, but for themselves, so that no token is left without a key.
        bias: the host's own, or None.
    """
    if t.proportional and t.size_bn is not None:
        size_b11n = t.size_bn.clamp(min=1).log()[:, None, None, :]
        bias = size_b11n if bias is None else bias + size_b11n
    if masked and t.mask_bn is not None:
        closed_b1qn = (t.mask_bn <= 0)[:, None, None, :]
        if queries is not None:
            closed_b1qn = closed_b1qn & ~torch.eye(queries, t.x_bnc.shape[1], dtype=torch.bool, device=t.x_bnc.device)
        open_bias = t.x_bnc.new_zeros(()) if bias is None else bias
        bias = torch.where(closed_b1qn, float('-inf'), open_bias)
    return bias


def attend_beside(q_bhqd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor, scale: float, dropout: float, t: Tokens) -> Tensor:
    """Attention of queries that are no tokens to the tokens of `t`, which count as they do among themselves. Other
    arguments and result as in `attend`."""
    soft = t.mask_bn is not None and t.mask_bn.requires_grad
    bias = key_bias(t, None, masked=not soft)
    if soft:
        return attend_masked(q_bhqd, k_bhnd, v_bhnd, scale, dropout, t.mask_bn, bias, itself=False)
    return attend(q_bhqd, k_bhnd, v_bhnd, scale, dropout, bias)


def more_keys(tokens_bhnd: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return keys or values with those of no tokens (P×C or B×P×C each, heads side by side) behind them."""
    batch, heads = tokens_bhnd.shape[:2]
    split = [other.to(tokens_bhnd.dtype).unflatten(-1, (heads, -1)).transpose(-3, -2) for other in others]
    return torch.cat([tokens_bhnd, *(other.expand(batch, *other.shape[-3:]) for other in split)], dim=2)


def padded(value: Tensor | None, keys: int, fill: float) -> Tensor | None:
    """Return what belongs to the keys of tokens, `fill` for those behind them, up to so many keys; None stays."""
    return None if value is None else F.pad(value, (0, keys - value.shape[-1]), value=fill)


@dataclass(frozen=True)
class Probe:
    """What a sparsifier may ask about the attention that has just run.

    Args:
        q_bhqd: queries, B×H×Q×d, as used (after q/k norms).
        k_bhnd: keys, B×H×N×d.
        v_bhnd: values, B×H×N×d.
        scale: factor of the logits.
        bias: added to the logits, broadcast to B×H×Q×N, or None.
        context: what the caller of `forward_tokens` handed in, or None.
    """

    q_bhqd: Tensor
    k_bhnd: Tensor
    v_bhnd: Tensor
    scale: float
    bias: Tensor | None = None
    context: object = None

    def attention(self, queries: int) -> Tensor:
        """Return the attention of the first tokens, B×H×queries×N, float32 or wider; O(queries·N)."""
        q_bhqd, k_bhnd = self.q_bhqd[:, :, :queries], self.k_bhnd
        wide = torch.promote_types(k_bhnd.dtype, torch.float32)
        # bfloat16 logits tie by the dozen, and a ranking with ties depends on the device.
        with without_autocast(k_bhnd.device):
            logits_bhqn = _logits(q_bhqd.to(wide) * self.scale, k_bhnd)
        return (logits_bhqn if self.bias is None else logits_bhqn + self.bias[:, :, :queries]).softmax(-1)


def _logits(q_bhqd: Tensor, k_bhnd: Tensor) -> Tensor:
    """Return q·kᵀ in the type of the queries. Keys that attention has kept are not kept once more."""
    learns = torch.is_grad_enabled() and k_bhnd.requires_grad and not torch.compiler.is_compiling()
    return _Logits.apply(q_bhqd, k_bhnd) if learns else _product(q_bhqd, k_bhnd)


def _product(q_bhqd: Tensor, k_bhnd: Tensor) -> Tensor:
    return q_bhqd @ k_bhnd.to(q_bhqd.dtype).transpose(-2, -1)


class _Logits(torch.autograd.Function):
    """The product brings the keys into one piece, heads first, and would keep that copy for its backward pass."""

    @staticmethod
    def forward(ctx, q_bhqd: Tensor, k_bhnd: Tensor) -> Tensor:
        ctx.save_for_backward(q_bhqd, k_bhnd)
        return _product(q_bhqd, k_bhnd)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient_bhqn: Tensor) -> tuple[Tensor, Tensor]:
        q_bhqd, k_bhnd = ctx.saved_tensors
        with without_autocast(k_bhnd.device):
            k_gradient_bhnd = (gradient_bhqn.transpose(-2, -1) @ q_bhqd).to(k_bhnd.dtype)
            return gradient_bhqn @ k_bhnd.to(q_bhqd.dtype), k_gradient_bhnd
