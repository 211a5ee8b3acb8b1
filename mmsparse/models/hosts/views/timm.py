"""timm's plain Vision Transformers (with class token or not, registers, LayerScale, q/k norm, pre-norm)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence

from torch import Tensor, nn

from mmsparse.errors import in_words, refuse
from mmsparse.models.hosts.build import finish
from mmsparse.models.hosts.frozen_model import seeded, sketching
from mmsparse.models.hosts.hubs import as_promised, pretrained_timm
from mmsparse.models.hosts.load_weights import load_timm
from mmsparse.models.hosts.pixels import timm_pixels
from mmsparse.models.hosts.position_tables import checked_grid
from mmsparse.models.hosts.views.host_parts import IDENTITY
from mmsparse.models.hosts.views.timm_parts import FFN, RES_POST, TimmParts
from mmsparse.models.hosts.views.view import View, resolve
from mmsparse.models.hosts.weight_files import checked
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.spelling import did_you_mean

SCALE = (IDENTITY, 'timm.layers.layer_scale.LayerScale')


class TimmView(TimmParts):
    """A ``timm.models.vision_transformer.VisionTransformer``."""

    model_types = ('timm.models.vision_transformer.VisionTransformer',)
    part_types = {
        '': ('timm.models.vision_transformer.Block', RES_POST),
        'attn': ('timm.layers.attention.Attention',),
        'ls1': SCALE,
        'ls2': SCALE,
    } | FFN
    chains = dict(
        attention_branch=('attn.proj_drop', 'ls1', 'drop_path1'),
        mlp_branch=('mlp.drop2', 'ls2', 'drop_path2'),
    )

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        if block.attn.gate is not None:
            yield 'gates its attention'

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
    refuse(f'TimmViT: {fault}' for fault in _faults(name, kwargs))
    known = inspect.signature(timm.models.VisionTransformer).parameters
    near = did_you_mean(kwargs.keys() - known.keys(), known, most=1)
    hint = f'Arguments other than name and checkpoint go to timm.create_model({name!r}).{near}'
    with in_words(f'TimmViT: {name!r} cannot be built with {kwargs}', hint):
        if checkpoint is None and not sketching():
            host = pretrained_timm(name, num_classes=0, **kwargs)
        else:
            with seeded():
                host = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
    view = resolve(host)
    view.name, view.pixels = name, timm_pixels(name, checkpoint)

    def read() -> dict[str, Tensor]:
        if checkpoint is None:
            return as_promised(host, name, num_classes=0, **kwargs)
        return load_timm(host, name, checkpoint, grid)

    return finish(view, checkpoint, read)


def _faults(name: str, kwargs: Collection[str]) -> Iterator[str]:
    import timm

    if named := sorted({'pretrained', 'checkpoint_path', 'pretrained_cfg'}.intersection(kwargs)):
        yield (
            f'received {", ".join(named)}. Weights are named by checkpoint: a file, None (pretrained) or False '
            '(random).'
        )
    if not timm.is_model(base := name.split('.')[0]):
        yield f'timm has no model {base!r}.{did_you_mean(base, timm.list_models()) or " Set host.name to another."}'
