"""Where timm's plain and rotary Vision Transformers keep the parts that they name alike, and how both pool."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.base import View, mean_of_patches, qualified
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.projections import split_heads
from mmsparse.structures.tokens import Tokens

IDENTITY = 'torch.nn.modules.linear.Identity'
LINEAR = ('torch.nn.modules.linear.Linear',)
PLAIN, PACKED, SPLIT = (f'timm.layers.mlp.{name}' for name in ('Mlp', 'GluMlp', 'SwiGLU'))
FFN = {'mlp': (PLAIN, PACKED, SPLIT), 'mlp.fc1': LINEAR, 'mlp.fc1_g': LINEAR, 'mlp.fc1_x': LINEAR, 'mlp.fc2': LINEAR}
GATE_AND_VALUE = ('fc1_g', 'fc1_x')


class TimmParts:
    """What a view of a timm host puts before `View` among its bases."""

    after_blocks = ('norm.', 'fc_norm.', 'attn_pool.')

    def describe(self, host: nn.Module, name: str, source: str) -> None:
        """Set what a view knows of its host but the heads, which only checked blocks tell; refuse what is no projection of patches."""
        from timm.layers import PatchEmbed

        self.name, self.source = name, source
        if not isinstance(host.patch_embed, PatchEmbed):
            raise InputError(f'{name}: a {qualified(host.patch_embed)} stands before its blocks, not one projection of patches. Use a plain ViT.')
        self.width, self.depth, self.blocks = host.embed_dim, len(host.blocks), host.blocks
        self.class_token, self.prefix = host.cls_token is not None, host.num_prefix_tokens
        self.patch, self.any_size = host.patch_embed.patch_size, host.dynamic_img_size
        self.grid = self.divide(*host.patch_embed.img_size)
        if qualified(host.patch_embed.norm) != IDENTITY:  # AIMv2: what gives the rows of the site embed is then the norm
            self.operators = self.operators | dict(embed='patch_embed.norm.')

    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.norm1(x_bnc)

    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        q_bhnd, k_bhnd = split_heads(q_bnc, attn.num_heads), split_heads(k_bnc, attn.num_heads)
        return attn.q_norm(q_bhnd), attn.k_norm(k_bhnd), split_heads(v_bnc, attn.num_heads)

    def scale(self, block: nn.Module) -> float:
        return block.attn.scale

    def attention_dropout(self, block: nn.Module) -> float:
        return block.attn.attn_drop.p if block.training else 0.0

    def attended(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        return block.attn.norm(o_bnc)

    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        return block.attn.proj(o_bnc)

    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.norm2(x_bnc)

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        if qualified(block.mlp) == SPLIT:
            return torch.cat([getattr(block.mlp, name)(h_bnc) for name in GATE_AND_VALUE], dim=-1)
        return block.mlp.fc1(h_bnc)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        mlp, kind = block.mlp, qualified(block.mlp)
        if kind == PLAIN:
            z_bnc = mlp.act(z_bnc)
        else:
            one_bnc, two_bnc = z_bnc.chunk(2, dim=-1)
            z_bnc = one_bnc * mlp.act(two_bnc) if kind == PACKED and mlp.gate_last else mlp.act(one_bnc) * two_bnc
        return mlp.norm(mlp.drop1(z_bnc))

    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        return block.mlp.fc2(z_bnc)

    def norm(self, x_bnc: Tensor) -> Tensor:
        return self.host.norm(x_bnc)

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, but a gated FFN may keep gate and value as two linears."""
        mlp = self.blocks[layer - 1].mlp
        if name != 'fc1' or qualified(mlp) != SPLIT:
            return super().operator(layer, name)
        return SideBySide(tuple(self.operator_at(self.blocks[layer - 1], f'mlp.{part}.', f'{name} of layer {layer}') for part in GATE_AND_VALUE))


def timm_pooled(view: View, t: Tokens, own: int) -> Tensor:
    """Pool as a timm host does, B×C: class token, mean, or the attention of a latent (SigLIP), where a row counts for the patches behind it.

    Args:
        view: of the host.
        t: after the final norm.
        own: rows of the host's prefix that attention reads too; prompts are never read.
    """
    host, pool = view.host, view.host.global_pool
    if pool == 'token':
        x_bc = t.x_bnc[:, 0]
    elif pool == 'avg' and not getattr(host, 'pool_include_prefix', False):
        x_bc = mean_of_patches(t)
    elif pool == 'map' and host.attn_pool.pos_embed is None:
        weight_bn = t.sizes_bn if t.mask_bn is None else t.sizes_bn * (t.mask_bn > 0)
        x_bnc, weight_bn = (torch.cat([value[:, :own], value[:, t.prefix :]], dim=1) for value in (t.x_bnc, weight_bn))
        x_bc = host.attn_pool(x_bnc, attn_mask=weight_bn.log()[:, None, None, :].to(x_bnc.dtype))
    else:
        raise InputError(f"{view.name}: out_type='pooled' cannot run the host's pooling {pool!r}. Known: 'token', 'avg', 'map'.")
    return host.fc_norm(x_bc)
