"""mmpretrain's Vision Transformers, built by their own configs: plain, distilled, and as pre-training keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.host_parts import IDENTITY, qualified
from mmsparse.models.hosts.views.view import View, mean_of_patches
from mmsparse.structures import Tokens


class MMPretrainView(View):
    """A ``mmpretrain.VisionTransformer``."""

    model_types = ('mmpretrain.models.backbones.vision_transformer.VisionTransformer',)
    part_types = {
        '': ('mmpretrain.models.backbones.vision_transformer.TransformerEncoderLayer',),
        'attn': ('mmpretrain.models.utils.attention.MultiheadAttention',),
        'ffn': ('mmcv.cnn.bricks.transformer.FFN',),
        'attn.gamma1': (IDENTITY, 'mmpretrain.models.utils.layer_scale.LayerScale'),
        'ffn.gamma2': (IDENTITY, 'mmcv.cnn.bricks.scale.LayerScale'),
    }
    parts = dict(
        blocks='layers',
        heads='attn.num_heads',
        dropout='attn.attn_drop',
        embed='patch_embed.projection',
        norm1='ln1',
        qkv='attn.qkv',
        proj='attn.proj',
        norm2='ln2',
        fc1='ffn.layers.0.0',
        fc2='ffn.layers.1',
        norm='ln1',
    )
    chains = dict(
        attention_branch=('attn.proj_drop', 'attn.gamma1', 'attn.out_drop'),
        activation=('ffn.layers.0.1', 'ffn.layers.0.2'),
        mlp_branch=('ffn.layers.2', 'ffn.gamma2', 'ffn.dropout_layer'),
    )
    after_blocks = ('ln1.', 'ln2.')

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        self.width = host.embed_dims
        if host.patch_embed.norm is not None:  # what gives the tokens of the site embed is then the norm
            self.parts = self.parts | dict(embed='patch_embed.norm')
        if not host.final_norm:
            self.parts = self.without('norm')
        self.class_token = host.cls_token is not None
        self.prefix, self.any_size = host.num_extra_tokens, True
        self.patch = tuple(host.patch_embed.projection.kernel_size)
        self.grid = self.divide(*host.img_size)

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        attn, ffn, heads = block.attn, block.ffn, self.blocks[0].attn.num_heads
        # mmpretrain divides by this scale where it should multiply, and adds v beside the projection.
        if attn.scaled_dot_product_attention.__class__.__name__ == 'partial' or attn.v_shortcut:
            yield 'sets qk_scale or v_shortcut'
        if attn.num_heads != heads:
            yield f'has {attn.num_heads} heads, block 1 has {heads}'
        if ffn.num_fcs != 2 or not ffn.add_identity:
            yield f'has an FFN of {ffn.num_fcs} layers, or one without identity'

    def prefix_tokens(self) -> tuple[Tensor, ...]:
        """Return the tokens before the patches, each 1×1×C."""
        return (self.host.cls_token,) if self.class_token else ()

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        x_bnc = site(host.patch_embed(images)[0])
        prefix = [token.expand(len(x_bnc), -1, -1) for token in self.prefix_tokens()]
        x_bnc = torch.cat([*prefix, x_bnc], dim=1)
        own, mode = host.patch_resolution, host.interpolate_mode
        position = host.resize_pos_embed(host.pos_embed, own, grid, mode=mode, num_extra_tokens=self.prefix)
        return Tokens.start(host.pre_norm(host.drop_after_pos(x_bnc + position)), self.prefix, grid)

    def pooled(self, t: Tokens) -> Tensor:
        if self.host.out_type == 'cls_token':
            return t.x_bnc[:, 0]
        if self.host.out_type == 'avg_featmap':
            return self.host.ln2(mean_of_patches(t))
        needs = "out_type='pooled' needs a host whose own out_type is 'cls_token' or 'avg_featmap'"
        raise InputError(f'{self.name}: {needs}, received {self.host.out_type!r}.')


class DistilledMMPretrainView(MMPretrainView):
    """A ``mmpretrain.DistilledVisionTransformer`` (DeiT, arXiv 2012.12877): a distillation token beside the class
    token."""

    model_types = ('mmpretrain.models.backbones.deit.DistilledVisionTransformer',)

    def host_faults(self) -> Iterator[str]:
        yield from super().host_faults()
        if qualified(self.host.pre_norm) != IDENTITY:
            yield 'received pre_norm, which its forward pass leaves out. Leave it out of the config.'

    def prefix_tokens(self) -> tuple[Tensor, ...]:
        return self.host.cls_token, self.host.dist_token

    def pooled(self, t: Tokens) -> Tensor:
        """Return the mean of the patches: for its classifiers the host gives two tokens, and a B×C is one."""
        if self.host.out_type == 'cls_token':
            raise InputError(
                f"{self.name}: out_type='pooled' is one vector per image, but this host gives class and distillation "
                "token. Use out_type='cls_token', or out_type='avg_featmap' of the host."
            )
        return super().pooled(t)


class MaskedMMPretrainView(MMPretrainView):
    """A ViT as mmpretrain pre-trains it on masked images or crops (MAE, MILAN, MaskFeat, MoCo v3), run on whole
    images."""

    model_types = (
        'mmpretrain.models.selfsup.mae.MAEViT',
        'mmpretrain.models.selfsup.milan.MILANViT',
        'mmpretrain.models.selfsup.maskfeat.MaskFeatViT',
        'mmpretrain.models.selfsup.mocov3.MoCoV3ViT',
    )
    unread = ('mask_token',)

    def host_faults(self) -> Iterator[str]:
        yield from super().host_faults()
        if (stages := self.host.frozen_stages) >= 0:  # MoCo v3 freezes its projection at 0, again and again
            yield f'received frozen_stages={stages}; adapters say what trains. Leave it out of the config.'
