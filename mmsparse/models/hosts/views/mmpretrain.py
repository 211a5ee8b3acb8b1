"""mmpretrain's VisionTransformer, built by its own config."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.base import View, mean_of_patches
from mmsparse.models.hosts.views.projections import fused_qkv, split_heads
from mmsparse.structures.tokens import Tokens

IDENTITY = 'torch.nn.modules.linear.Identity'


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
    operators = dict(
        embed='patch_embed.projection.',
        norm1='ln1.',
        qkv='attn.qkv.',
        proj='attn.proj.',
        norm2='ln2.',
        fc1='ffn.layers.0.0.',
        fc2='ffn.layers.1.',
        norm='ln1.',
    )
    after_blocks = ('ln1.', 'ln2.')

    def __init__(self, host: nn.Module, source: str = 'as given'):
        super().__init__(host)
        self.name, self.source = 'mmpretrain VisionTransformer', source
        self.width, self.depth, self.blocks = host.embed_dims, host.num_layers, host.layers
        self.heads = host.layers[0].attn.num_heads
        if host.patch_embed.norm is not None:  # what gives the rows of the site embed is then the norm
            self.operators = self.operators | dict(embed='patch_embed.norm.')
        self.class_token = host.cls_token is not None
        self.prefix, self.any_size = int(self.class_token), True
        self.patch = tuple(host.patch_embed.projection.kernel_size)
        self.grid = self.divide(*host.img_size)
        for index, block in enumerate(host.layers, start=1):
            self.check_parts(index, block)
            # mmpretrain divides by the scale where it should multiply, and adds v beside the projection: both hide inside a known class.
            if block.attn.scaled_dot_product_attention.__class__.__name__ == 'partial' or block.attn.v_shortcut:
                raise InputError(f'{self.name}: block {index} sets qk_scale or v_shortcut, which this view cannot run. Leave them at their defaults.')
            if block.attn.num_heads != self.heads:
                raise InputError(f'{self.name}: block {index} has {block.attn.num_heads} heads, block 1 has {self.heads}. Expected equal numbers.')
            if block.ffn.num_fcs != 2 or not block.ffn.add_identity:
                raise InputError(f'{self.name}: block {index} has an FFN of {block.ffn.num_fcs} layers or without identity. Expected num_fcs=2.')

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        x_bnc = site(host.patch_embed(images)[0])
        if self.class_token:
            x_bnc = torch.cat([host.cls_token.expand(x_bnc.shape[0], -1, -1), x_bnc], dim=1)
        position = host.resize_pos_embed(host.pos_embed, host.patch_resolution, grid, mode=host.interpolate_mode, num_extra_tokens=self.prefix)
        return Tokens.start(host.pre_norm(host.drop_after_pos(x_bnc + position)), self.prefix, grid)

    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.ln1(x_bnc)

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, ...]:
        return fused_qkv(block.attn.qkv, hq_bnc, h_bnc)

    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, ...]:
        return tuple(split_heads(x_bnc, self.heads) for x_bnc in (q_bnc, k_bnc, v_bnc))

    def scale(self, block: nn.Module) -> float:
        return block.attn.head_dims**-0.5

    def attention_dropout(self, block: nn.Module) -> float:
        return block.attn.attn_drop if block.training else 0.0

    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        return block.attn.proj(o_bnc)

    def attention_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        return block.attn.out_drop(block.attn.gamma1(block.attn.proj_drop(y_bnc)))

    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.ln2(x_bnc)

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        return block.ffn.layers[0][0](h_bnc)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        return block.ffn.layers[0][2](block.ffn.layers[0][1](z_bnc))

    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        return block.ffn.layers[1](z_bnc)

    def mlp_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        return block.ffn.dropout_layer(block.ffn.gamma2(block.ffn.layers[2](y_bnc)))

    def norm(self, x_bnc: Tensor) -> Tensor:
        return self.host.ln1(x_bnc) if self.host.final_norm else x_bnc

    def pooled(self, t: Tokens) -> Tensor:
        if self.host.out_type == 'cls_token':
            return t.x_bnc[:, 0]
        if self.host.out_type == 'avg_featmap':
            return self.host.ln2(mean_of_patches(t))
        raise InputError(
            f"{self.name}: out_type='pooled' needs a host whose own out_type is 'cls_token' or 'avg_featmap', received {self.host.out_type!r}."
        )
