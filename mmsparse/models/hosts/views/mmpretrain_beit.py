"""mmpretrain's BEiTViT (BEiT, BEiTv2, EVA), built by its own config."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.biases_apart import BiasesApart
from mmsparse.models.hosts.views.mmpretrain import MMPretrainView
from mmsparse.models.hosts.views.relative import RelativePositions
from mmsparse.models.hosts.views.view import View
from mmsparse.structures import Tokens


class MMPretrainBeitView(BiasesApart, RelativePositions, MMPretrainView):
    """A ``mmpretrain.BEiTViT``; with relative positions it has one input size."""

    model_types = ('mmpretrain.models.backbones.beit.BEiTViT',)
    part_types = {
        '': ('mmpretrain.models.backbones.beit.BEiTTransformerEncoderLayer',),
        'attn': ('mmpretrain.models.utils.attention.BEiTAttention',),
        'ffn': ('mmcv.cnn.bricks.transformer.FFN',),
    }
    parts = MMPretrainView.parts | dict(dropout='attn.attn_drop.p', scale='attn.scale')
    chains = MMPretrainView.chains | dict(
        attention_branch=('attn.proj_drop', 'gamma_1', 'drop_path'),
        mlp_branch=('ffn.layers.2', 'ffn.gamma2', 'ffn.dropout_layer', 'gamma_2', 'drop_path'),
    )

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        self.any_size = not self.relative

    @property
    def relative(self) -> bool:
        """Whether the host has relative positions, of every block or for all."""
        return self.host.use_rel_pos_bias or self.host.rel_pos_bias is not None

    def host_faults(self) -> Iterator[str]:
        yield from super().host_faults()
        if self.relative and self.host.cls_token is None:
            yield 'its relative positions are those of a class token too, which it has not. Set with_cls_token=True.'

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from View.block_faults(self, block)
        if block.ffn.num_fcs != 2 or block.ffn.add_identity:
            yield f'has an FFN of {block.ffn.num_fcs} layers, or one with identity'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        x_bnc = site(host.patch_embed(images)[0])
        if self.class_token:
            x_bnc = torch.cat([host.cls_token.expand(len(x_bnc), -1, -1), x_bnc], dim=1)
        if host.pos_embed is not None:
            own, mode = host.patch_resolution, host.interpolate_mode
            x_bnc = x_bnc + host.resize_pos_embed(host.pos_embed, own, grid, mode, self.prefix)
        return self.started(host.drop_after_pos(x_bnc), grid)

    def shared(self) -> Tensor | None:
        return None if self.host.rel_pos_bias is None else self.host.rel_pos_bias()

    def own(self, block: nn.Module) -> Tensor | None:
        attn = block.attn
        if attn.relative_position_bias_table is None:
            return None
        return attn.relative_position_bias_table[attn.relative_position_index].permute(2, 0, 1)
