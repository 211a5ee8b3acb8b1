"""timm's plain Vision Transformers (with class token or not, registers, LayerScale, q/k norm, pre-norm)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import seeded, sketching
from mmsparse.models.hosts.hubs import as_promised, pretrained_timm
from mmsparse.models.hosts.load_weights import load_timm
from mmsparse.models.hosts.pixels import timm_pixels
from mmsparse.models.hosts.position_tables import checked_grid
from mmsparse.models.hosts.views.base import View, resolve
from mmsparse.models.hosts.views.timm_parts import FFN, IDENTITY, TimmParts
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS
from mmsparse.structures.tokens import Tokens

SCALE = (IDENTITY, 'timm.layers.layer_scale.LayerScale')


class TimmView(TimmParts):
    """A ``timm.models.vision_transformer.VisionTransformer``."""

    model_types = ('timm.models.vision_transformer.VisionTransformer',)
    part_types = {
        '': ('timm.models.vision_transformer.Block',),
        'attn': ('timm.layers.attention.Attention',),
        'ls1': SCALE,
        'ls2': SCALE,
    } | FFN
    chains = dict(
        attention_branch=('attn.proj_drop', 'ls1', 'drop_path1'),
        mlp_branch=('mlp.drop2', 'ls2', 'drop_path2'),
    )

    def check_parts(self, index: int, block: nn.Module) -> None:
        super().check_parts(index, block)
        if block.attn.gate is not None:
            raise InputError(
                f'TimmView: block {index} of {self.name} gates its attention output, which this view cannot run. Use a host without gates.'
            )

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid = self.grid_of(images)
        patches = site(self.host.patch_embed(images))  # B×m×C, or B×h×w×C where the host takes any size
        x_bnc = self.host.norm_pre(self.host._pos_embed(patches))
        return Tokens.start(x_bnc, self.prefix, grid)


@MODELS.register_module(name='TimmViT')
def timm_vit(
    name: str,
    checkpoint: str | bool | None = None,
    checkpoint_grid: Sequence[int] | None = None,
    **kwargs,
) -> View:
    """Build a timm host by name, without its classifier.

    Args:
        name: timm's name, with or without a tag of pretrained weights.
        checkpoint: None: the pretrained weights that the name promises, from the hub or its cache; False: random
            weights from a seed of their own; a path: that .safetensors, .npz (the original JAX files) or .pth file.
        checkpoint_grid: patches (rows, columns) that the positions of the file were trained for, where these are no
            square.
        kwargs: for ``timm.create_model``, such as img_size.

    Raises:
        InputError: unknown name or argument, unknown block type, weights that cannot be reached or do not fit.
    """
    import timm

    checkpoint = checked(checkpoint, 'TimmViT')
    grid = checked_grid(checkpoint_grid, checkpoint)
    if named := {'pretrained', 'checkpoint_path', 'pretrained_cfg'} & kwargs.keys():
        raise InputError(
            f'TimmViT: received {", ".join(sorted(named))}. Weights are named by checkpoint: a file, None (pretrained) or False (random).'
        )
    base = name.split('.')[0]
    if not timm.is_model(base):
        raise InputError(
            f'TimmViT: timm has no model {base!r}. Did you mean {" or ".join(get_close_matches(base, timm.list_models())) or "another name"}?'
        )
    try:
        if checkpoint is None and not sketching():
            host = pretrained_timm(name, num_classes=0, **kwargs)
        else:
            with seeded():
                host = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    except TypeError as error:  # an argument that the model's constructor does not know
        known = inspect.signature(timm.models.VisionTransformer).parameters
        close = [match for key in kwargs if key not in known for match in get_close_matches(key, known, n=1)]
        hint = f' Did you mean {" or ".join(close)}?' if close else ''
        text = f'TimmViT: {error}. Arguments other than name and checkpoint go to timm.create_model({name!r}).{hint}'
        raise InputError(text) from error
    except AssertionError as error:
        raise InputError(f'TimmViT: {name!r} cannot be built with {kwargs}: {error}.') from error
    view = resolve(host)
    view.name = name
    view.source = {None: 'pretrained, from the hub', False: 'random, seed 0'}.get(checkpoint, checkpoint)
    view.pixels = timm_pixels(name, checkpoint)
    if checkpoint is False:
        view.filed = None
    elif isinstance(checkpoint, str) and not sketching():
        view.filed = load_timm(host, name, checkpoint, grid)
    elif not sketching():
        view.filed = as_promised(host, name, num_classes=0, **kwargs)
    return view
