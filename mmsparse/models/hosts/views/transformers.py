"""Vision models of Hugging Face's transformers: ViT, DINOv2 and v3, CLIP, SigLIP and SigLIP2."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.rotary import carry_phases, turned
from mmsparse.models.hosts.views.transformers_parts import TransformersView, pair
from mmsparse.structures.tokens import Tokens

VIT, DINOV2, REGISTERS, DINOV3, CLIP, SIGLIP, SIGLIP2 = (
    f'transformers.models.{module}.modeling_{module}.{stem}'
    for module, stem in (
        ('vit', 'ViT'),
        ('dinov2', 'Dinov2'),
        ('dinov2_with_registers', 'Dinov2WithRegisters'),
        ('dinov3_vit', 'DINOv3ViT'),
        ('clip', 'CLIP'),
        ('siglip', 'Siglip'),
        ('siglip2', 'Siglip2'),
    )
)


def _types(stem: str, block: str, attention: str, *ffns: str) -> dict[str, tuple[str, ...]]:
    return {
        '': (f'{stem}{block}',),
        attention: (f'{stem}Attention',),
        'mlp': tuple(f'{stem}{ffn}' for ffn in ffns),
    }


class TransformersViTView(TransformersView):
    """A ``transformers.ViTModel`` without its pooler, as ``ViTForImageClassification`` has it."""

    config_type = 'vit'
    build_options = dict(add_pooling_layer=False)  # files of classifiers have none
    any_size_options = dict(interpolate_pos_encoding=True)
    model_types = (f'{VIT}Model',)
    part_types = _types(VIT, 'Layer', 'attention', 'MLP')
    parts = dict(
        blocks='layers',
        heads='attention.num_attention_heads',
        dropout='attention.attention_dropout',
        scale='attention.scaling',
        embed='embeddings.patch_embeddings.projection',
        norm1='layernorm_before',
        q='attention.q_proj',
        k='attention.k_proj',
        v='attention.v_proj',
        proj='attention.o_proj',
        norm2='layernorm_after',
        fc1='mlp.fc1',
        fc2='mlp.fc2',
        norm='layernorm',
    )
    chains = dict(attention_branch=('dropout',), activation=('mlp.activation_fn',), mlp_branch=('dropout',))
    after_blocks = ('layernorm.',)

    def begin(self, x_bnc: Tensor) -> Tensor:
        return self.host.embeddings.dropout(x_bnc)


class Dinov2View(TransformersViTView):
    """A ``transformers.Dinov2Model``, with a plain or a gated FFN."""

    config_type = 'dinov2'
    model_types = (f'{DINOV2}Model',)
    part_types = _types(DINOV2, 'Layer', 'attention', 'MLP', 'SwiGLUFFN')
    parts = TransformersViTView.parts | dict(blocks='encoder.layer', norm1='norm1', norm2='norm2')
    chains = dict(
        attention_branch=('layer_scale1', 'drop_path'),
        activation=('mlp.activation_fn',),
        mlp_branch=('layer_scale2', 'drop_path'),
    )
    build_options = any_size_options = {}


class Dinov2RegistersView(Dinov2View):
    """A ``transformers.Dinov2WithRegistersModel``: registers have no positions."""

    config_type = 'dinov2_with_registers'
    model_types = (f'{REGISTERS}Model',)
    part_types = _types(REGISTERS, 'Layer', 'attention', 'MLP', 'SwiGLUFFN')

    def begin(self, x_bnc: Tensor) -> Tensor:
        own = self.host.embeddings
        registers_brc = own.register_tokens.expand(len(x_bnc), -1, -1)
        return own.dropout(torch.cat([x_bnc[:, :1], registers_brc, x_bnc[:, 1:]], dim=1))


class Dinov3View(TransformersView):
    """A ``transformers.DINOv3ViTModel``: rotary positions, registers, a plain or a gated FFN."""

    config_type = 'dinov3_vit'
    table_key = None
    model_types = (f'{DINOV3}Model',)
    part_types = _types(DINOV3, 'Layer', 'attention', 'MLP', 'GatedMLP')
    parts = Dinov2View.parts | dict(
        blocks='model.layer',
        heads='attention.num_heads',
        dropout='attention.dropout',
        embed='embeddings.patch_embeddings',
        fc1='mlp.up_proj',
        fc2='mlp.down_proj',
        norm='norm',
    )
    chains = Dinov2View.chains | dict(activation=('mlp.act_fn',))
    after_blocks = ('norm.',)

    def place(self, x_bnc: Tensor, height: int, width: int) -> Tensor:
        """Put the registers behind the class token; positions are rotary."""
        registers_brc = self.host.embeddings.register_tokens.expand(len(x_bnc), -1, -1)
        return torch.cat([x_bnc[:, :1], registers_brc, x_bnc[:, 1:]], dim=1)

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        cos_nd, sin_nd = self.host.rope_embeddings(images)
        return carry_phases(super().embed(images, site), sin_nd, cos_nd)

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        return turned(x_bhnd, t, half=True)


class TransformersClipView(TransformersView):
    """A ``transformers.CLIPVisionModel``, without the projection into the space of the texts.

    All tokens get the norm that the library gives the pooled one.
    """

    config_type = 'clip_vision_model'
    any_size_options = dict(interpolate_pos_encoding=True)
    class_token_key = 'embeddings.class_embedding'
    table_key = 'embeddings.position_embedding.weight'
    model_types = (f'{CLIP}VisionModel',)
    part_types = _types(CLIP, 'EncoderLayer', 'self_attn', 'MLP')
    parts = dict(
        blocks='encoder.layers',
        heads='self_attn.num_heads',
        dropout='self_attn.dropout',
        scale='self_attn.scale',
        embed='embeddings.patch_embedding',
        norm1='layer_norm1',
        q='self_attn.q_proj',
        k='self_attn.k_proj',
        v='self_attn.v_proj',
        proj='self_attn.out_proj',
        norm2='layer_norm2',
        fc1='mlp.fc1',
        fc2='mlp.fc2',
        norm='post_layernorm',
    )
    chains = dict(attention_branch=(), activation=('mlp.activation_fn',), mlp_branch=())
    after_blocks = ('post_layernorm.', 'head.')

    def begin(self, x_bnc: Tensor) -> Tensor:
        return self.host.pre_layrnorm(x_bnc)  # spelt so there


class TransformersSiglipView(TransformersClipView):
    """A ``transformers.SiglipVisionModel``: no class token, pooling by the attention of a latent."""

    config_type = 'siglip_vision_model'
    class_token_key = None
    model_types = (f'{SIGLIP}VisionModel',)
    part_types = _types(SIGLIP, 'EncoderLayer', 'self_attn', 'MLP')

    def begin(self, x_bnc: Tensor) -> Tensor:
        return x_bnc

    def pooled(self, t: Tokens) -> Tensor:
        """Pool by the host's head, in which a token counts for the patches behind it: B×C. Prompts are not read."""
        if not self.host.use_head:
            raise InputError(
                f"{self.name}: out_type='pooled' needs a host with a head, received one with vision_use_head=False."
            )
        head, x_bnc = self.host.head, t.x_bnc[:, t.prefix :]
        weight_bn = t.sizes_bn if t.mask_bn is None else t.sizes_bn * (t.mask_bn > 0)
        bias_b1n = weight_bn[:, None, t.prefix :].log().to(x_bnc.dtype)
        bias = bias_b1n.repeat_interleave(head.attention.num_heads, 0)
        probe = head.probe.expand(len(x_bnc), -1, -1)
        y_b1c = head.attention(probe, x_bnc, x_bnc, attn_mask=bias, need_weights=False)[0]
        return (y_b1c + head.mlp(head.layernorm(y_b1c)))[:, 0]


class TransformersSiglip2View(TransformersSiglipView):
    """A ``transformers.Siglip2VisionModel`` (NaFlex) on ordinary batches: images of one size, without padding."""

    config_type = 'siglip2_vision_model'
    model_types = (f'{SIGLIP2}VisionModel',)
    part_types = _types(SIGLIP2, 'EncoderLayer', 'self_attn', 'MLP')

    def own_size(self, config: object) -> tuple[int, int]:
        side = math.isqrt(config.num_patches)
        return tuple(side * edge for edge in pair(config.patch_size))

    def cut(self, images: Tensor) -> Tensor:
        """Return the pixels of every patch, colours last, as the library's processor has them: B×m×(p·p·3)."""
        (ph, pw), (height, width) = self.patch, images.shape[-2:]
        parts = images.unflatten(3, (width // pw, pw)).unflatten(2, (height // ph, ph))  # B, 3, rows, p, columns, p
        return parts.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def project(self, images: Tensor) -> Tensor:
        return self.host.embeddings.patch_embedding(self.cut(images))

    def place(self, x_bnc: Tensor, height: int, width: int) -> Tensor:
        own, grid = self.host.embeddings, self.divide(height, width)
        side = own.position_embedding_size
        table = own.position_embedding.weight.reshape(side, side, -1)
        return x_bnc + own.resize_positional_embeddings(table, torch.tensor([grid], device='cpu'), x_bnc.shape[1])

    def answer(self, images: Tensor) -> Tensor:
        pixels, grid = self.cut(images), self.grid_of(images)
        mask = torch.ones(pixels.shape[:2], dtype=torch.long, device=images.device)
        return self.host(pixels, mask, torch.tensor([grid] * len(images))).pooler_output
