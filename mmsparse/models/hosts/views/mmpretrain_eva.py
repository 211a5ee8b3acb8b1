"""mmpretrain's EVA-02 (arXiv 2303.11331): rotary positions beside learned ones, gated FFNs with or without a norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy

from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.host_parts import IDENTITY, Parts
from mmsparse.models.hosts.views.mmpretrain import MMPretrainView
from mmsparse.models.hosts.views.rotary import carry_phases, turned
from mmsparse.structures import Tokens


class MMPretrainEvaView(MMPretrainView):
    """A ``mmpretrain.ViTEVA02``."""

    model_types = ('mmpretrain.models.backbones.vit_eva02.ViTEVA02',)
    part_types = {
        '': ('mmpretrain.models.backbones.vit_eva02.EVA02EndcoderLayer',),
        'attn': ('mmpretrain.models.backbones.vit_eva02.AttentionWithRoPE',),
        'mlp': ('mmpretrain.models.utils.swiglu_ffn.SwiGLUFFN',),
        'mlp.gamma2': (IDENTITY,),
    }
    parts = MMPretrainView.parts | dict(
        dropout='attn.attn_drop.p', scale='attn.scale', norm1='norm1', norm2='norm2', fc1='mlp.w12', fc2='mlp.w3'
    )
    chains = dict(attention_branch=('attn.proj_drop', 'drop_path'), mlp_branch=('mlp.dropout_layer', 'drop_path'))

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from Parts.block_faults(self, block)
        if block.attn.rope is not self.host.rope or block.attn.with_cls_token != (self.host.cls_token is not None):
            yield 'sets rope or with_cls_token of its own'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        t = super().embed(images, site)
        rope = self.host.rope
        if rope.patch_resolution == t.grid:
            return carry_phases(t, rope.freqs_sin, rope.freqs_cos)
        other = copy(rope)  # the host's own would keep the phases of this size
        other.patch_resolution = t.grid
        cos_nd, sin_nd = (table_nd.to(images.device) for table_nd in other.compute_position_embedding())
        return carry_phases(t, sin_nd, cos_nd)

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        return turned(x_bhnd, t, half=False)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        gate_bnc, value_bnc = z_bnc.chunk(2, dim=-1)
        return block.mlp.norm(F.silu(gate_bnc) * value_bnc)
