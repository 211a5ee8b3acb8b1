"""timm's plain Vision Transformers (with class token or not, registers, LayerScale, q/k norm, pre-norm)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.registry import MODELS
from mmsparse.tokens import Tokens

from ..host_weights import load_timm, pretrained_timm, seeded
from .base import View, fused_qkv, mean_of_patches, resolve, split_heads

IDENTITY = 'torch.nn.modules.linear.Identity'
LINEAR = ('torch.nn.modules.linear.Linear',)
SCALE = (IDENTITY, 'timm.layers.layer_scale.LayerScale')


class TimmView(View):
    """A ``timm.models.vision_transformer.VisionTransformer``."""

    model_types = ('timm.models.vision_transformer.VisionTransformer',)
    part_types = {
        '': ('timm.models.vision_transformer.Block',),
        'attn': ('timm.layers.attention.Attention',),
        'mlp': ('timm.layers.mlp.Mlp',),
        'attn.norm': (IDENTITY,),
        'mlp.fc1': LINEAR,
        'mlp.fc2': LINEAR,
        'ls1': SCALE,
        'ls2': SCALE,
    }
    operators = dict(
        embed='patch_embed.proj.', norm1='norm1.', qkv='attn.qkv.', proj='attn.proj.', norm2='norm2.', fc1='mlp.fc1.', fc2='mlp.fc2.', norm='norm.'
    )
    after_blocks = ('norm.', 'fc_norm.', 'attn_pool.')

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host)
        self.name, self.source = name or 'timm VisionTransformer', source
        self.width, self.depth, self.blocks = host.embed_dim, len(host.blocks), host.blocks
        self.class_token, self.prefix = host.cls_token is not None, host.num_prefix_tokens
        self.patch, self.any_size = host.patch_embed.patch_size, host.dynamic_img_size
        self.grid = self.divide(*host.patch_embed.img_size)
        for index, block in enumerate(host.blocks, start=1):
            self.check_parts(index, block)
            if block.attn.gate is not None:
                raise InputError(
                    f'TimmView: block {index} of {self.name} gates its attention output, which this view cannot run. Use a host without gates.'
                )
        self.heads = host.blocks[0].attn.num_heads
        if getattr(host.patch_drop, 'prob', 0) > 0:
            raise InputError(
                f'{self.name}: received patch_drop_rate={host.patch_drop.prob}, which loses track of rows. Leave it out and use a sparsifier.'
            )

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid = self.grid_of(images)
        patches = site(self.host.patch_embed(images))  # B×m×C, or B×h×w×C where the host takes any size
        x_bnc = self.host.norm_pre(self.host._pos_embed(patches))
        return Tokens.start(x_bnc, self.prefix, grid)

    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.norm1(x_bnc)

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, ...]:
        return fused_qkv(block.attn.qkv, hq_bnc, h_bnc)

    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attn = block.attn
        q_bhnd, k_bhnd, v_bhnd = (split_heads(x_bnc, attn.num_heads) for x_bnc in (q_bnc, k_bnc, v_bnc))
        return attn.q_norm(q_bhnd), attn.k_norm(k_bhnd), v_bhnd

    def scale(self, block: nn.Module) -> float:
        return block.attn.scale

    def attention_dropout(self, block: nn.Module) -> float:
        return block.attn.attn_drop.p if block.training else 0.0

    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        return block.attn.proj(o_bnc)

    def attention_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        return block.drop_path1(block.ls1(block.attn.proj_drop(y_bnc)))

    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return block.norm2(x_bnc)

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        return block.mlp.fc1(h_bnc)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        return block.mlp.norm(block.mlp.drop1(block.mlp.act(z_bnc)))

    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        return block.mlp.fc2(z_bnc)

    def mlp_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        return block.drop_path2(block.ls2(block.mlp.drop2(y_bnc)))

    def norm(self, x_bnc: Tensor) -> Tensor:
        return self.host.norm(x_bnc)

    def pooled(self, t: Tokens) -> Tensor:
        return timm_pooled(self, t, self.prefix if self.host.pool_include_prefix else 0)


def timm_pooled(view: View, t: Tokens, own: int) -> Tensor:
    """Pool as a timm host does, B×C: class token, mean, or the attention of a latent (SigLIP), where a row counts for the patches behind it.

    Args:
        view: of the host.
        t: after the final norm.
        own: rows of the host's prefix that attention reads too; prompts are never read.
    """
    host, pool = view.host, view.host.global_pool
    if pool == 'token':
        x_bc = t.x_bnc[:, 0]
    elif pool == 'avg' and not getattr(host, 'pool_include_prefix', False):
        x_bc = mean_of_patches(t)
    elif pool == 'map' and host.attn_pool.pos_embed is None:
        weight_bn = t.sizes_bn if t.mask_bn is None else t.sizes_bn * (t.mask_bn > 0)
        x_bnc, weight_bn = (torch.cat([value[:, :own], value[:, t.prefix :]], dim=1) for value in (t.x_bnc, weight_bn))
        x_bc = host.attn_pool(x_bnc, attn_mask=weight_bn.log()[:, None, None, :].to(x_bnc.dtype))
    else:
        raise InputError(f"{view.name}: out_type='pooled' cannot run the host's pooling {pool!r}. Known: 'token', 'avg', 'map'.")
    return host.fc_norm(x_bc)


@MODELS.register_module(name='TimmViT')
def timm_vit(name: str, checkpoint: str | bool | None = None, **kwargs) -> View:
    """Build a timm host by name, without its classifier.

    Args:
        name: timm's name, with or without a tag of pretrained weights.
        checkpoint: None: the pretrained weights that the name promises, from the hub or its cache; False: random weights from a seed of
            their own; a path: that .safetensors, .npz (the original JAX files) or .pth file.
        kwargs: for ``timm.create_model``, such as img_size.

    Raises:
        InputError: unknown name or argument, unknown block type, weights that cannot be reached or do not fit.
    """
    import timm

    base = name.split('.')[0]
    if not timm.is_model(base):
        raise InputError(
            f'TimmViT: timm has no model {base!r}. Did you mean {" or ".join(get_close_matches(base, timm.list_models())) or "another name"}?'
        )
    try:
        if checkpoint is None:
            host = pretrained_timm(name, num_classes=0, **kwargs)
        else:
            with seeded():
                host = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    except TypeError as error:  # an argument that the model's constructor does not know
        known = inspect.signature(timm.models.VisionTransformer).parameters
        close = [match for key in kwargs if key not in known for match in get_close_matches(key, known, n=1)]
        hint = f' Did you mean {" or ".join(close)}?' if close else ''
        raise InputError(f'TimmViT: {error}. Arguments other than name and checkpoint go to timm.create_model({name!r}).{hint}') from error
    view = resolve(host)
    view.name, view.source = name, {None: 'pretrained, from the hub', False: 'random, seed 0'}.get(checkpoint, checkpoint)
    if isinstance(checkpoint, str):
        load_timm(host, name, checkpoint)
    return view
