"""Attention forms. Fused attention runs wherever nobody needs the whole attention matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(q_bhnd: Tensor, k_bhnd: Tensor, v_bhnd: Tensor, scale: float, dropout: float = 0.0) -> Tensor:
    """Return softmax(q·kᵀ·scale)·v with heads joined.

    Args:
        q_bhnd: queries, B×H×Q×d; Q may be smaller than the number of keys.
        k_bhnd: keys, B×H×N×d.
        v_bhnd: values, B×H×N×d.
        scale: factor of the logits, usually d^-0.5.
        dropout: probability of an attention weight to be dropped, 0 outside training.

    Returns:
        B×Q×(H·d).
    """
    out_bhqd = F.scaled_dot_product_attention(q_bhnd, k_bhnd, v_bhnd, dropout_p=dropout, scale=scale)
    return out_bhqd.transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class Probe:
    """What a sparsifier may ask about the attention that has just run.

    Args:
        q_bhnd: queries, B×H×Q×d, as used (after q/k norms).
        k_bhnd: keys, B×H×N×d.
        scale: factor of the logits.
    """

    q_bhnd: Tensor
    k_bhnd: Tensor
    scale: float


class ClassAttention(nn.Module):
    """Attention of the class token to every row, mean over heads (EViT, sec. 3.1), in O(N).

    A module of its own so that a cost account can tell the probe from the network by its scope.
    """

    def forward(self, probe: Probe) -> Tensor:
        """Return B×N, rows sum to 1, float32 or wider."""
        q_bh1d, k_bhnd = probe.q_bhnd[:, :, :1], probe.k_bhnd
        wide = torch.promote_types(k_bhnd.dtype, torch.float32)
        # bfloat16 logits tie by the dozen, and a ranking with ties depends on the device.
        with torch.autocast(k_bhnd.device.type, enabled=False):
            logits_bh1n = (q_bh1d.to(wide) * probe.scale) @ k_bhnd.to(wide).transpose(-2, -1)
        return logits_bh1n.softmax(-1).mean(1).squeeze(1)
