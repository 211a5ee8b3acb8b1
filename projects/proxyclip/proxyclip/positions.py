"""Position embeddings at another grid, by the rule of DINO's and ProxyCLIP's published code: bicubic, to a grid that
is 0.1 patches larger.

timm and open_clip resize to the grid itself, with anti-aliasing; on unit features the difference is about 1e-2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.hosts.views.open_clip import OpenClipView, open_clip_vit
from mmsparse.models.hosts.views.timm import TimmView, timm_vit
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens

OFFSET = 0.1


def offset_positions(table_nc: Tensor, own: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Resize a table of positions.

    Args:
        table_nc: class token first, (1 + h·w)×C.
        own: grid (h, w) of the table.
        grid: wanted.

    Returns:
        (1 + h·w)×C of the wanted grid; the table itself where the grids agree.
    """
    if grid == own:
        return table_nc
    wide = torch.promote_types(table_nc.dtype, torch.float32)
    own_1chw = table_nc[1:].to(wide).T.unflatten(1, own).unsqueeze(0)
    factor = tuple(float((cells + OFFSET) / had) for cells, had in zip(grid, own))
    resized_1chw = F.interpolate(own_1chw, scale_factor=factor, mode='bicubic', align_corners=False)
    return torch.cat([table_nc[:1], resized_1chw[0].flatten(1).T.to(table_nc.dtype)])


class ProxyClipView(OpenClipView):
    """An open_clip tower with the published rule for positions."""

    def positions(self, grid: tuple[int, int]) -> Tensor:
        return offset_positions(self.host.positional_embedding, self.grid, grid)


class DinoView(TimmView):
    """A timm ViT of DINO's kind (one class token, no registers) with the published rule for positions."""

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        patches_bmc = site(host.patch_embed(images)).flatten(1, 2)
        x_bnc = torch.cat([host.cls_token.expand(len(images), -1, -1), patches_bmc], dim=1)
        x_bnc = x_bnc + offset_positions(host.pos_embed[0], self.grid, grid)
        return Tokens.start(host.norm_pre(host.pos_drop(x_bnc)), self.prefix, grid)


@MODELS.register_module(name='ProxyClipViT')
def proxy_clip_vit(name: str, **kwargs) -> ProxyClipView:
    """Build what ``mmsparse.OpenClipViT`` builds, with the published rule for positions. Arguments and errors are the
    same.
    """
    view = open_clip_vit(name, **kwargs)
    return _as(ProxyClipView, view)


@MODELS.register_module(name='DinoViT')
def dino_vit(name: str, **kwargs) -> DinoView:
    """Build what ``mmsparse.TimmViT`` builds, for images of any size, with the published rule for positions. Arguments
    are the same.

    Raises:
        InputError: also for a ViT with registers or without class token, to which that rule was never applied.
    """
    view = timm_vit(name, dynamic_img_size=True, **kwargs)
    if view.prefix != 1 or view.host.no_embed_class:
        raise InputError(
            f"DinoViT: {name} has registers, or no class token. Use host=dict(type='mmsparse.TimmViT', "
            'dynamic_img_size=True, …).'
        )
    return _as(DinoView, view)


def _as(kind: type[View], view: View) -> View:
    """The same view, with another rule for positions."""
    other = kind(view.host)
    vars(other).update(vars(view))
    return other
