"""What the views of timm's plain and of its rotary Vision Transformers share: names of parts, gated FFNs, pooling."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.host_parts import IDENTITY, LINEAR, qualified
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.view import View, mean_of_patches
from mmsparse.structures import Tokens

PLAIN, PACKED, SPLIT = (f'timm.layers.mlp.{name}' for name in ('Mlp', 'GluMlp', 'SwiGLU'))
FFN = {'mlp': (PLAIN, PACKED, SPLIT)} | dict.fromkeys(('mlp.fc1', 'mlp.fc1_g', 'mlp.fc1_x', 'mlp.fc2'), (LINEAR,))
GATE_AND_VALUE = ('fc1_g', 'fc1_x')


class TimmParts(View):
    """What the views of timm's hosts share."""

    parts = dict(
        blocks='blocks',
        heads='attn.num_heads',
        dropout='attn.attn_drop.p',
        scale='attn.scale',
        embed='patch_embed.proj',
        norm1='norm1',
        qkv='attn.qkv',
        q_norm='attn.q_norm',
        k_norm='attn.k_norm',
        attended='attn.norm',
        proj='attn.proj',
        norm2='norm2',
        fc1='mlp.fc1',
        fc2='mlp.fc2',
        norm='norm',
    )
    after_blocks = ('norm.', 'fc_norm.', 'attn_pool.')

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        stem = host.patch_embed
        self.width, self.class_token, self.prefix = host.embed_dim, host.cls_token is not None, host.num_prefix_tokens
        self.patch, self.any_size = stem.patch_size, host.dynamic_img_size
        self.grid = self.divide(*stem.img_size)
        if qualified(stem.norm) != IDENTITY:  # AIMv2: what gives the tokens of the site embed is then the norm
            self.parts = self.parts | dict(embed='patch_embed.norm')

    def host_faults(self) -> Iterator[str]:
        from timm.layers import PatchEmbed

        stem, rate = self.host.patch_embed, getattr(self.host.patch_drop, 'prob', 0)
        if not isinstance(stem, PatchEmbed):
            yield f'a {qualified(stem)} stands before its blocks, not one projection of patches. Use a plain ViT.'
        if rate > 0:
            yield f'received patch_drop_rate={rate}, which loses track of tokens. Leave it out and use a sparsifier.'

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

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, but a gated FFN may keep gate and value as two linears."""
        block = self.blocks[layer - 1]
        if name != 'fc1' or qualified(block.mlp) != SPLIT:
            return super().operator(layer, name)
        what = f'{name} of layer {layer}'
        return SideBySide(tuple(self.operator_at(block, f'mlp.{part}', what) for part in GATE_AND_VALUE))

    def pooled(self, t: Tokens) -> Tensor:
        """Return the class token, the mean, or what the attention of a latent query reads (SigLIP), B×C.

        In that attention a token counts for the patches behind it; prompts are not read, the host's own prefix tokens
        where the host reads them.
        """
        host, pool = self.host, self.host.global_pool
        include_prefix = getattr(host, 'pool_include_prefix', pool == 'map')  # in Eva's towers attention reads all
        if pool == 'token':
            x_bc = t.x_bnc[:, 0]
        elif pool == 'avg' and not include_prefix:
            x_bc = mean_of_patches(t)
        elif pool == 'map' and host.attn_pool.pos_embed is None:
            own = self.prefix if include_prefix else 0
            weight_bn = t.sizes_bn if t.mask_bn is None else t.sizes_bn * (t.mask_bn > 0)
            x_bnc, weight_bn = (torch.cat([all_n[:, :own], all_n[:, t.prefix :]], 1) for all_n in (t.x_bnc, weight_bn))
            x_bc = host.attn_pool(x_bnc, attn_mask=weight_bn.log()[:, None, None, :].to(x_bnc.dtype))
        else:
            raise InputError(
                f"{self.name}: out_type='pooled' cannot run the host's pooling {pool!r}. Known: 'token', 'avg', 'map'."
            )
        return host.fc_norm(x_bc)
