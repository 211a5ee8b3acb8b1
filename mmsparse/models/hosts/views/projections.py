"""Queries, keys and values of hosts that make them by one linear layer of 3·C outputs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.operators import is_plain


def fused_qkv(linear: nn.Module, hq_bnc: Tensor, h_bnc: Tensor, bias: Tensor | None = None) -> tuple[Tensor, ...]:
    """Return queries of hq_bnc (B×Q×C), keys and values of h_bnc (B×N×C).

    Args:
        linear: its outputs are q, k and v side by side; what a user has put around it acts on all three.
        hq_bnc, h_bnc: tokens that ask, and tokens that are asked; where they are one tensor, one product serves all.
        bias: 3·C, of a linear whose bias the host keeps elsewhere.
    """
    if (bias is not None or hq_bnc is not h_bnc) and is_plain(linear):
        return packed_qkv(linear.weight, linear.bias if bias is None else bias, hq_bnc, h_bnc)

    out_bnc = linear(h_bnc)
    qkv = (out_bnc if bias is None else out_bnc + bias).chunk(3, dim=-1)
    return qkv if hq_bnc is h_bnc else (fused_qkv(linear, hq_bnc, hq_bnc, bias)[0], *qkv[1:])


def packed_qkv(weight: Tensor, bias: Tensor | None, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, ...]:
    """Return the same from the weight (3·C×C) and bias (3·C) of such a linear, without the products nobody needs."""
    if hq_bnc is h_bnc:
        return F.linear(h_bnc, weight, bias).chunk(3, dim=-1)
    width = len(weight) // 3
    bias_q, bias_kv = (None, None) if bias is None else (bias[:width], bias[width:])
    k_bnc, v_bnc = F.linear(h_bnc, weight[width:], bias_kv).chunk(2, dim=-1)
    return F.linear(hq_bnc, weight[:width], bias_q), k_bnc, v_bnc


def split_heads(x_bnc: Tensor, heads: int) -> Tensor:
    """Bring B×N×(H·d) to B×H×N×d."""
    return x_bnc.unflatten(-1, (heads, -1)).transpose(1, 2)
