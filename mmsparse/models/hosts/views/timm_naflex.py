"""timm's NaFlex ViTs on ordinary batches: images of one size, without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.models.hosts.views.timm_parts import TimmParts
from mmsparse.structures import Tokens


class NaFlexView(TimmView):
    """A ``timm.models.naflexvit.NaFlexVit`` whose blocks are those of a plain ViT.

    Its table of positions stays as it is: timm resizes it in every forward pass, and so does this.
    """

    model_types = ('timm.models.naflexvit.NaFlexVit',)
    parts = TimmParts.parts | dict(embed='embeds.proj')

    def measure(self, host: nn.Module) -> None:
        from timm.models import get_model_input_config

        self.class_token, self.any_size, self.patch = host.has_class_token, True, host.embeds.patch_size
        self.grid = self.divide(*get_model_input_config(host)['input_size'][1:])

    def host_faults(self) -> Iterator[str]:
        if self.host.rope is not None:
            yield f'its rotary positions are {type(self.host.rope).__name__}. Known for NaFlex ViTs: none.'
        if self.host.patch_drop is not None:
            yield 'received a patch_drop_rate, which loses track of tokens. Leave it out and use a sparsifier.'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        own, grid = self.host.embeds, self.grid_of(images)
        x_bnc = site(own.norm(self.project(images)))
        x_bnc = x_bnc + self.positions(x_bnc, grid)
        prefix = [token.expand(len(images), -1, -1) for token in (own.cls_token, own.reg_token) if token is not None]
        x_bnc = self.host.norm_pre(own.pos_drop(torch.cat([*prefix, x_bnc], dim=1)))
        return Tokens.start(x_bnc, self.prefix, grid)

    def project(self, images: Tensor) -> Tensor:
        """Return the projection of the patches, B×m×C."""
        own = self.host.embeds
        if not own.is_linear:
            return own.proj(images).flatten(2).transpose(1, 2)
        from timm.models.naflexvit import batch_patchify

        return own.proj(batch_patchify(images, own.patch_size, pad=False, channels_last=own.channels_last)[0])

    def positions(self, x_bnc: Tensor, grid: tuple[int, int]) -> Tensor:
        """Return the positions of a grid, 1×m×C, in the type of x_bnc; timm adds them to a tensor in place."""
        own, zeros_1nc = self.host.embeds, x_bnc.new_zeros(1, *x_bnc.shape[1:])
        if own.pos_embed_type == 'learned':
            own._apply_learned_pos_embed(zeros_1nc, grid)
        elif own.pos_embed_type == 'factorized':
            own._apply_factorized_pos_embed(zeros_1nc, grid)
        return zeros_1nc
