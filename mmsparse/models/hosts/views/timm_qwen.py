"""timm's vision encoders of Qwen3-VL (arXiv 2511.21631): learned positions at any size, and rotary ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.eva import EvaView
from mmsparse.models.hosts.views.rotary import carry_phases
from mmsparse.models.hosts.views.view import mean_of_patches
from mmsparse.structures import Tokens

MODULE = 'timm.models.qwen3_vit'


class QwenEncoderView(EvaView):
    """A ``timm.models.qwen3_vit.Qwen3VitEncoder``: no class token, no final norm."""

    model_types = (f'{MODULE}.Qwen3VitEncoder',)
    parts = {name: path for name, path in EvaView.parts.items() if name != 'norm'}
    after_blocks = ('merger.',)

    @property
    def encoder(self) -> nn.Module:
        """The part of the host that has the blocks."""
        return self.host

    def measure(self, host: nn.Module) -> None:
        stem = self.encoder.patch_embed
        self.class_token, self.any_size, self.patch = False, True, stem.patch_size
        self.grid = self.divide(*stem.img_size)

    def host_faults(self) -> Iterator[str]:
        return iter(())

    @property
    def mixed(self) -> bool:
        return False

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid = self.grid_of(images)
        x_bnc, phase_nd = self.encoder._pos_embed(site(self.encoder.patch_embed(images)))
        return carry_phases(Tokens.start(x_bnc, self.prefix, grid), *phase_nd.chunk(2, dim=-1))

    def pooled(self, t: Tokens) -> Tensor:
        """Return the mean over the patches, B×C; the projector to a language model (`merge`) reads whole grids."""
        pool = 'merge' if self.encoder.merger is not None else self.host.global_pool
        if pool != 'avg':
            raise InputError(f"{self.name}: out_type='pooled' cannot run the host's pooling {pool!r}. Known: 'avg'.")
        return mean_of_patches(t)


class QwenView(QwenEncoderView):
    """A ``timm.models.qwen3_vit.Qwen3VitClassifier``, whose encoder is one of its parts."""

    model_types = (f'{MODULE}.Qwen3VitClassifier',)
    parts = QwenEncoderView.parts | dict(blocks='encoder.blocks', embed='encoder.patch_embed.proj')
    after_blocks = ('encoder.merger.',)

    @property
    def encoder(self) -> nn.Module:
        return self.host.encoder

    def pooled(self, t: Tokens) -> Tensor:
        """As the encoder's, and a norm without parameters behind it."""
        return self.host.norm(super().pooled(t))
