"""Blocks as BEiT wrote them (EVA, EVA-02, timm's and mmpretrain's BEiT): fused q, k and v whose biases lie apart."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.host_parts import QKV
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.projections import fused_qkv
from mmsparse.models.hosts.views.view import View


class BiasesApart(View):
    """What views of such hosts share; keys have no bias, and blocks without biases apart run as all others."""

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        if getattr(attn, 'q_bias', None) is None:
            return super().qkv(block, hq_bnc, h_bnc)
        bias_c = torch.cat((attn.q_bias, torch.zeros_like(attn.q_bias), attn.v_bias))
        return fused_qkv(attn.qkv, hq_bnc, h_bnc, bias_c)

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, with the biases of q and v, and none for k."""
        attn = self.blocks[layer - 1].attn
        if name not in QKV or getattr(attn, 'q_bias', None) is None:
            return super().operator(layer, name)
        bias = {'q': attn.q_bias, 'k': None, 'v': attn.v_bias}[name]
        return replace(super().operator(layer, name), bias=None if bias is None else bias.detach())
