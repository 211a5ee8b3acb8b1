"""timm's hosts with relative positions: BEiT, BEiTv2 and the relative-position ViTs, one input size each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.biases_apart import BiasesApart
from mmsparse.models.hosts.views.relative import RelativePositions
from mmsparse.models.hosts.views.timm import SCALE, TimmView
from mmsparse.models.hosts.views.timm_parts import FFN, RELATIVE_POST, TimmParts
from mmsparse.structures import Tokens


class RelativeParts(RelativePositions, TimmParts):
    """What the two views share."""

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        x_bnc = site(host.patch_embed(images))
        if self.class_token:
            x_bnc = torch.cat([host.cls_token.expand(len(x_bnc), -1, -1), x_bnc], dim=1)
        return self.started(self.placed(x_bnc), grid)

    def placed(self, x_bnc: Tensor) -> Tensor:
        """Return the first tokens with their absolute positions, where the host has them."""
        return x_bnc


class BeitView(BiasesApart, RelativeParts):
    """A ``timm.models.beit.Beit``: BEiT and BEiTv2, plain or gated FFN."""

    model_types = ('timm.models.beit.Beit',)
    part_types = {'': ('timm.models.beit.Block',), 'attn': ('timm.models.beit.Attention',)} | FFN
    parts = {key: path for key, path in TimmParts.parts.items() if key not in ('q_norm', 'k_norm', 'attended')}
    chains = dict(
        attention_branch=('attn.proj_drop', 'gamma_1', 'drop_path1'),
        mlp_branch=('mlp.drop2', 'gamma_2', 'drop_path2'),
    )

    def placed(self, x_bnc: Tensor) -> Tensor:
        host = self.host
        return host.pos_drop(x_bnc if host.pos_embed is None else x_bnc + host.pos_embed)

    def shared(self) -> Tensor | None:
        return None if self.host.rel_pos_bias is None else self.host.rel_pos_bias()

    def own(self, block: nn.Module) -> Tensor | None:
        attn = block.attn
        return None if attn.relative_position_bias_table is None else attn._get_rel_pos_bias()[0]


class RelPosView(RelativeParts):
    """A ``timm.models.vision_transformer_relpos.VisionTransformerRelPos``, its norms before the branches or behind."""

    model_types = ('timm.models.vision_transformer_relpos.VisionTransformerRelPos',)
    part_types = {
        '': ('timm.models.vision_transformer_relpos.RelPosBlock', RELATIVE_POST),
        'attn': ('timm.models.vision_transformer_relpos.RelPosAttention',),
        'ls1': SCALE,
        'ls2': SCALE,
    } | FFN
    parts = {key: path for key, path in TimmParts.parts.items() if key != 'attended'}
    chains = TimmView.chains

    def shared(self) -> Tensor | None:
        return None if self.host.shared_rel_pos is None else self.host.shared_rel_pos.get_bias()[0]

    def own(self, block: nn.Module) -> Tensor | None:
        return None if block.attn.rel_pos is None else block.attn.rel_pos.get_bias()[0]
