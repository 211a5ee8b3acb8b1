"""open_clip's visual towers: fused in_proj, QuickGELU or GELU, pre-norm, a projection into the space of the texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.build import finish
from mmsparse.models.hosts.frozen_model import seeded
from mmsparse.models.hosts.hubs import pretrained_open_clip
from mmsparse.models.hosts.load_weights import load_open_clip
from mmsparse.models.hosts.pixels import open_clip_pixels
from mmsparse.models.hosts.position_tables import checked_grid, resampled
from mmsparse.models.hosts.views.host_parts import IDENTITY, LINEAR, qualified
from mmsparse.models.hosts.views.projections import packed_qkv
from mmsparse.models.hosts.views.view import View, mean_of_patches, resolve
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.hints import check_arguments
from mmsparse.utils.spelling import did_you_mean

NORM = ('open_clip.transformer.LayerNorm', 'open_clip.transformer.LayerNormFp32')
SCALE = (IDENTITY, 'open_clip.transformer.LayerScale')
# What CLIP needs besides the visual tower, as small as it gets: it is thrown away.
NO_TEXT = dict(context_length=1, vocab_size=1, width=1, heads=1, layers=1)


class OpenClipView(View):
    """An ``open_clip.transformer.VisionTransformer``."""

    model_types = ('open_clip.transformer.VisionTransformer',)
    part_types = {
        '': ('open_clip.transformer.ResidualAttentionBlock',),
        'ln_1': NORM,
        'attn': ('torch.nn.modules.activation.MultiheadAttention',),
        'ls_1': SCALE,
        'ln_2': NORM,
        'mlp.c_fc': (LINEAR,),
        'mlp.c_proj': (LINEAR,),
        'ls_2': SCALE,
    }
    parts = dict(
        blocks='transformer.resblocks',
        heads='attn.num_heads',
        dropout='attn.dropout',
        embed='conv1',
        norm1='ln_1',
        qkv='attn.in_proj_',
        proj='attn.out_proj',
        norm2='ln_2',
        fc1='mlp.c_fc',
        fc2='mlp.c_proj',
        norm='ln_post',
    )
    chains = dict(attention_branch=('ls_1',), activation=('mlp.gelu',), mlp_branch=('ls_2',))
    position_key = 'positional_embedding'
    after_blocks = ('ln_post.', 'proj')

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        self.width, self.class_token, self.prefix, self.any_size = host.conv1.out_channels, True, 1, True
        self.patch, self.grid = tuple(host.patch_size), tuple(host.grid_size)
        self.divide(*host.image_size)
        if host.final_ln_after_pool:  # the tokens get no norm of their own
            self.parts = self.without('norm')

    def host_faults(self) -> Iterator[str]:
        pool, drop = self.host.attn_pool, self.host.patch_dropout
        if pool is not None:
            yield f'this tower ends in attentional pooling ({type(pool).__name__}), which OpenClipView cannot run.'
        if not isinstance(drop, nn.Identity):
            yield f'received patch_dropout={drop.prob}, which loses track of tokens. Use a sparsifier instead.'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        host, grid = self.host, self.grid_of(images)
        x_bnc = site(host.conv1(images).flatten(2).transpose(1, 2))
        head_b1c = host.class_embedding.to(x_bnc.dtype).expand(x_bnc.shape[0], 1, -1)
        x_bnc = torch.cat([head_b1c, x_bnc], dim=1) + self.positions(grid).to(x_bnc.dtype)
        return Tokens.start(host.ln_pre(x_bnc), self.prefix, grid)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Return position embeddings for a patch grid, (1 + h·w)×C, resized as open_clip resizes checkpoints."""
        table_nc = self.host.positional_embedding
        if grid == self.grid:  # grids, not counts: 7×28 patches are as many as 14×14
            return table_nc
        return resampled(table_nc, self.grid, grid, self.prefix)

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, ...]:
        return packed_qkv(*self._in_proj(block), hq_bnc, h_bnc)

    def values(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        weight, bias = self._in_proj(block)
        return F.linear(h_bnc, weight[2 * self.width :], bias[2 * self.width :])

    def _in_proj(self, block: nn.Module) -> tuple[Tensor, Tensor]:
        if not isinstance(block.attn, nn.MultiheadAttention):  # what wraps it would never run
            raise InputError(
                f'{self.name}: received a {qualified(block.attn)} around the attention of a block, whose weights q, k '
                'and v would be read past. Wrap linear layers only (out_proj, c_fc, c_proj), or adapt q, k and v by '
                'an adapter of ours, such as mmsparse.LoRA.'
            )
        return block.attn.in_proj_weight, block.attn.in_proj_bias

    def pooled(self, t: Tokens) -> Tensor:
        if self.host.pool_type not in ('tok', 'avg'):
            received = f"{self.name}: out_type='pooled' cannot run the host's pooling {self.host.pool_type!r}"
            raise InputError(f"{received}. Known: 'tok', 'avg'.")
        x_bc = t.x_bnc[:, 0] if self.host.pool_type == 'tok' else mean_of_patches(t)
        return self.project(self.host.ln_post(x_bc) if self.host.final_ln_after_pool else x_bc)

    def project(self, x: Tensor) -> Tensor:
        """Bring normed tokens, …×C, into the space of the texts, …×D."""
        return x if self.host.proj is None else x @ self.host.proj


@MODELS.register_module(name='OpenClipViT')
def open_clip_vit(
    name: str,
    checkpoint: str | bool | None = None,
    img_size: int | tuple[int, int] | None = None,
    pretrained: str = 'openai',
    checkpoint_grid: Sequence[int] | None = None,
    **kwargs,
) -> OpenClipView:
    """Build the visual tower of an open_clip model; it takes images of any size that its patches divide.

    Args:
        name: open_clip's name. OpenAI's weights need QuickGELU: ``ViT-B-16-quickgelu``, not ``ViT-B-16``.
        checkpoint: None: open_clip's weights of the tag `pretrained`, from the hub or its cache; False: random weights
            from a seed of their own; a path: that .safetensors or .pth file, of the whole model or of the visual
            tower.
        img_size: pixels of the square input, or (height, width), for which positions are stored; None: the model's
            own.
        pretrained: open_clip's tag of the weights.
        checkpoint_grid: patches (rows, columns) that the positions of the file were trained for, where these are no
            square.
        kwargs: for open_clip's vision config (``CLIPVisionCfg``), such as layers or ls_init_value.

    Raises:
        InputError: unknown name or argument, a tower that is no plain ViT, weights that cannot be reached or do not
            fit.
    """
    import open_clip

    checkpoint = checked(checkpoint, 'OpenClipViT')
    grid = checked_grid(checkpoint_grid, checkpoint)
    refuse(f'OpenClipViT: {fault}' for fault in _faults(name, kwargs))
    check_arguments(open_clip.CLIPVisionCfg, kwargs, 'OpenClipViT')
    config = open_clip.get_model_config(name)
    vision = config['vision_cfg'] | kwargs | ({} if img_size is None else dict(image_size=img_size))
    quick = config.get('quick_gelu', False)
    with seeded():
        host = open_clip.CLIP(config['embed_dim'], vision, NO_TEXT, quick_gelu=quick).visual
    view = resolve(host)
    view.name, view.pixels = name, open_clip_pixels(name, pretrained, checkpoint)

    def read() -> dict[str, Tensor]:
        file = pretrained_open_clip(name, pretrained, quick) if checkpoint is None else checkpoint
        return load_open_clip(host, name, file, quick, grid)

    return finish(view, checkpoint, read, promised=pretrained)


def _faults(name: str, kwargs: dict) -> Iterator[str]:
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        yield (
            'open_clip has no model '
            f'{name!r}.{did_you_mean(name, open_clip.list_models()) or " Set host.name to another."}'
        )
    elif timm_name := (config['vision_cfg'] | kwargs).get('timm_model_name'):
        yield f"the visual tower of {name} is timm's {timm_name}. Use host=dict(type='mmsparse.TimmViT', name=…)."
