"""What the views of timm's plain and of its rotary Vision Transformers share: names of parts, gated FFNs, pooling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from operator import attrgetter

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
RES_POST, EVA_POST = 'timm.models.vision_transformer.ResPostBlock', 'timm.models.eva.EvaBlockPostNorm'
RELATIVE_POST = 'timm.models.vision_transformer_relpos.ResPostRelPosBlock'
BEHIND = dict(
    attention_branch=('attn.proj_drop', 'norm1', 'drop_path1'),
    mlp_branch=('mlp.drop2', 'norm2', 'drop_path2'),
)


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
        first = attrgetter(self.parts['blocks'])(host)[0]
        if qualified(first) in (RES_POST, EVA_POST, RELATIVE_POST):  # the norms lie behind the branches
            self.parts, self.chains = self.without('norm1', 'norm2'), BEHIND
        super().__init__(host, name, source)
        self.width, self.prefix = host.embed_dim, host.num_prefix_tokens
        self.measure(host)

    def measure(self, host: nn.Module) -> None:
        """Set what the host says of its class token, patches and grid."""
        stem = host.patch_embed
        self.class_token, self.any_size = host.cls_token is not None, getattr(host, 'dynamic_img_size', False)
        self.patch = stem.feat_ratio(as_scalar=False)
        self.grid = self.divide(*stem.img_size)
        if qualified(getattr(stem, 'norm', nn.Identity())) != IDENTITY:  # AIMv2: the norm gives the tokens at embed
            self.parts = self.parts | dict(embed='patch_embed.norm')

    @property
    def channels(self) -> int:
        return self.host.in_chans  # a hybrid projects the channels of a feature map

    def host_faults(self) -> Iterator[str]:
        from timm.layers import HybridEmbed, PatchEmbed

        stem, rate = self.host.patch_embed, getattr(getattr(self.host, 'patch_drop', None), 'prob', 0)
        if not isinstance(stem, PatchEmbed | HybridEmbed):
            yield f'a {qualified(stem)} stands before its blocks, and no projection of patches or of a feature map.'
        elif isinstance(stem, HybridEmbed):
            own = tuple(map(math.prod, zip(stem.grid_size, stem.feat_ratio(as_scalar=False))))
            if own != stem.img_size:
                yield f'its stem makes {stem.grid_size} tokens of {stem.img_size} pixels. Set img_size to {own}.'
        if rate > 0:
            yield f'received patch_drop_rate={rate}, which loses track of tokens. Leave it out and use a sparsifier.'

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        if type(block) is not type(self.blocks[0]):
            yield f'is a {qualified(block)}, block 1 a {qualified(self.blocks[0])}'

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        if hasattr(block.mlp, GATE_AND_VALUE[0]):
            return torch.cat([getattr(block.mlp, name)(h_bnc) for name in GATE_AND_VALUE], dim=-1)
        return block.mlp.fc1(h_bnc)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        mlp = block.mlp
        if hasattr(mlp, 'gate_last') or hasattr(mlp, GATE_AND_VALUE[0]):
            one_bnc, two_bnc = z_bnc.chunk(2, dim=-1)
            z_bnc = one_bnc * mlp.act(two_bnc) if getattr(mlp, 'gate_last', False) else mlp.act(one_bnc) * two_bnc
        else:
            z_bnc = mlp.act(z_bnc)
        return mlp.norm(mlp.drop1(z_bnc))

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, but a gated FFN may keep gate and value as two linears."""
        block = self.blocks[layer - 1]
        if name != 'fc1' or not hasattr(block.mlp, GATE_AND_VALUE[0]):
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
