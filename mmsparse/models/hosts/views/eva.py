"""timm's Eva family: rotary (DINOv3, EVA-02 tiny and small) or learned positions, plain or gated FFNs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.host_parts import QKV
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.projections import fused_qkv
from mmsparse.models.hosts.views.rotary import carry_phases, turned
from mmsparse.models.hosts.views.timm_parts import FFN, TimmParts
from mmsparse.structures import Tokens

KNOWN_ROPE = ('RotaryEmbeddingCat', 'RotaryEmbeddingDinoV3')


class EvaView(TimmParts):
    """A ``timm.models.eva.Eva``, pre-norm."""

    model_types = ('timm.models.eva.Eva',)
    part_types = {
        '': ('timm.models.eva.EvaBlock',),
        'attn': ('timm.models.eva.EvaAttention', 'timm.layers.attention.AttentionRope'),
    } | FFN

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        if host.blocks[0].attn.qkv is None:
            self.parts = self.without('qkv') | {key: f'attn.{key}_proj' for key in QKV}

    def host_faults(self) -> Iterator[str]:
        yield from super().host_faults()
        if self.host.rope is not None and (kind := type(self.host.rope).__name__) not in KNOWN_ROPE:
            known = ', '.join(KNOWN_ROPE)
            yield f'its rotary positions are {kind}, with phases of their own for every head or layer. Known: {known}.'

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        if block.attn.gate is not None or getattr(block.attn, 'num_kv_groups', 1) > 1:
            yield 'gates its attention or shares keys among heads'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid = self.grid_of(images)
        x_bnc, phase_nd = self.host._pos_embed(site(self.host.patch_embed(images)))
        t = Tokens.start(self.host.norm_pre(x_bnc), self.prefix, grid)
        return t if phase_nd is None else carry_phases(t, *phase_nd.chunk(2, dim=-1))

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, ...]:
        attn = block.attn
        if getattr(attn, 'q_bias', None) is None:
            return super().qkv(block, hq_bnc, h_bnc)
        return fused_qkv(attn.qkv, hq_bnc, h_bnc, torch.cat((attn.q_bias, attn.k_bias, attn.v_bias)))

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        return turned(x_bhnd, t, block.attn.rotate_half)

    def attention_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        y_bnc = block.attn.proj_drop(y_bnc)
        return block.drop_path1(y_bnc if block.gamma_1 is None else block.gamma_1 * y_bnc)

    def mlp_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        y_bnc = block.mlp.drop2(y_bnc)
        return block.drop_path2(y_bnc if block.gamma_2 is None else block.gamma_2 * y_bnc)

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, but fused q, k and v may keep their biases apart, with none for k."""
        attn = self.blocks[layer - 1].attn
        if name not in QKV or getattr(attn, 'q_bias', None) is None:
            return super().operator(layer, name)
        bias = {'q': attn.q_bias, 'k': None, 'v': attn.v_bias}[name]
        return replace(super().operator(layer, name), bias=None if bias is None else bias.detach())
