"""Proxies that are no plain ViTs: SAM's image encoder and the rotary DINOv3, run as timm runs them. Plain ones are
``mmsparse.SparseViT``.
"""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import FrozenModel, seeded
from mmsparse.models.hosts.hubs import as_promised, pretrained_timm
from mmsparse.models.hosts.load_weights import load_timm
from mmsparse.models.hosts.pixels import timm_pixels
from mmsparse.models.hosts.position_tables import checked_grid
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """The last feature map of a frozen timm model, after its final norm (DINOv3) or neck (SAM).

    Args:
        host: ``dict(name=…, checkpoint=…)`` and arguments for ``timm.create_model``; `name`, `checkpoint` and
            `checkpoint_grid` as for ``mmsparse.TimmViT``.

    Attributes:
        patch: pixels (h, w) of a patch.
        pixels: as a view's.

    Raises:
        InputError: no such model, or weights that cannot be reached or do not fit.
    """

    def __init__(self, host: dict):
        super().__init__()
        import timm

        options = dict(host)
        name, checkpoint = options.pop('name'), checked(options.pop('checkpoint', None), 'TimmFeatures')
        grid = checked_grid(options.pop('checkpoint_grid', None), checkpoint)
        if not timm.is_model(name.split('.')[0]):
            raise InputError(
                f'TimmFeatures: timm has no model {name!r}. Known proxies: samvit_base_patch16.sa1b, '
                'vit_base_patch16_dinov3.lvd1689m.'
            )
        self.filed = None if checkpoint is False else {}
        if checkpoint is None:
            self.host = pretrained_timm(name, num_classes=0, **options)
            self.filed = as_promised(self.host, name, num_classes=0, **options)
        else:
            with seeded():
                self.host = timm.create_model(name, pretrained=False, num_classes=0, **options)
        if not hasattr(self.host, 'forward_intermediates'):
            raise InputError(
                f'TimmFeatures: {name} ({type(self.host).__name__}) does not hand out feature maps. Use another proxy.'
            )
        if isinstance(checkpoint, str):
            self.filed = load_timm(self.host, name, checkpoint, grid)
        self.name, self.source = name, {None: 'from the hub', False: 'random, seed 0'}.get(checkpoint, checkpoint)
        self.pixels = timm_pixels(name, checkpoint)
        self.patch = tuple(self.host.patch_embed.patch_size)
        self.host.requires_grad_(False)
        self.train()

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Return B×C×h×w.

        Args:
            images: B×3×H×W, normalised as the model expects.
        """
        try:
            if getattr(self.host, 'neck', None) is not None:  # SAM: its neck is part of what it says
                return (self.host.forward_features(images),)
            return tuple(self.host.forward_intermediates(images, indices=1, norm=True, intermediates_only=True))
        except AssertionError as error:  # timm's word for a size that the model was not built for
            height, width = images.shape[-2:]
            raise InputError(
                f'{self.name}: received images of {height}×{width} pixels: {error} Set vfm_size, or '
                'dynamic_img_size=True.'
            ) from error

    def init_weights(self) -> None:
        """Leave every weight as loaded."""
        self._is_init = True

    @property
    def frozen_models(self) -> dict[str, FrozenModel]:
        """The model that a state names by fingerprint."""
        return {'host': FrozenModel(self.host, self.name, self.source, self.filed)}

    def train(self, mode: bool = True) -> TimmFeatures:
        """Set the mode; the frozen model stays in evaluation mode."""
        super().train(mode)
        nn.Module.train(self.host, False)
        return self


def patch_of(vfm: nn.Module) -> tuple[int, int]:
    """Return the pixels (h, w) of a proxy's patch."""
    return vfm.patch if isinstance(vfm, TimmFeatures) else vfm.view.patch


@torch.no_grad()
def features(vfm: nn.Module, images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Return a proxy's last map, B×C×h×w.

    Args:
        vfm: a SparseViT with ``out_type='featmap'``, or TimmFeatures.
        images: normalised for it.
        size: pixels (h, w) that the images are resized to before; None: as they are.
    """
    if size is not None:
        images = nn.functional.interpolate(images, size=size, mode='bilinear', align_corners=False)
    return vfm(images)[-1]
