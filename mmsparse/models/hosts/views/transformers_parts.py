"""What the views of Hugging Face's transformers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.models.hosts.views.view import View
from mmsparse.structures.tokens import Tokens

GATED = ('mlp.gate_proj', 'mlp.up_proj')


class TransformersView(View):
    """What the views of transformers' models share: q, k and v apart, tables of positions that the library resizes.

    Args:
        host, name, source: as for every view.
        img_size: pixels of the configured input, an edge or (height, width); None: the host's own. The table of
            positions stays as it is: the library resizes it in every forward pass.

    Attributes:
        config_type: `model_type` of the config that the host is built from.
        class_token_key, table_key: path of the class token and the table of positions, None where there is none.
        build_options: with which the class of the host is built, besides its config.
        any_size_options: with which the library's own forward pass takes images of any size.
    """

    config_type: str
    class_token_key: str | None = 'embeddings.cls_token'
    table_key: str | None = 'embeddings.position_embeddings'
    build_options: Mapping[str, bool] = MappingProxyType({})
    any_size_options: Mapping[str, bool] = MappingProxyType({})
    unread = ('embeddings.mask_token',)
    any_size = True

    def __init__(
        self,
        host: nn.Module,
        name: str | None = None,
        source: str = 'as given',
        img_size: int | Sequence[int] | None = None,
    ):
        super().__init__(host, name, source)
        own = self.own_size(host.config)
        self.width, self.patch = host.config.hidden_size, pair(host.config.patch_size)
        self.class_token = self.class_token_key is not None
        self.prefix = self.class_token + getattr(host.config, 'num_register_tokens', 0)
        self.grid = self.divide(*(own if img_size is None else pair(img_size)))
        self.gated = hasattr(self.blocks[0].mlp, 'gate_proj')
        if self.gated:
            self.parts = self.parts | dict(fc1=GATED[0], fc2='mlp.down_proj')

    def host_faults(self) -> Iterator[str]:
        heads, (height, width) = self.host.config.num_attention_heads, self.own_size(self.host.config)
        if (channels := attrgetter(self.parts['q'])(self.blocks[0]).out_features) % heads:
            yield f'{heads} heads do not divide its {channels} channels. Change num_attention_heads.'
        if self.table_key and height != width:
            yield f'its positions are for {height}×{width} pixels, and only those of squares are resized.'

    def own_size(self, config: object) -> tuple[int, int]:
        """Return the image size (h, w) that a config of the host names."""
        return pair(config.image_size)

    def project(self, images: Tensor) -> Tensor:
        """Return the projection of the patches, B×m×C."""
        return attrgetter(self.parts['embed'])(self.host)(images).flatten(2).transpose(1, 2)

    def place(self, x_bnc: Tensor, height: int, width: int) -> Tensor:
        """Add the positions for an image of this many pixels."""
        return x_bnc + self.host.embeddings.interpolate_pos_encoding(x_bnc, height, width)

    def begin(self, x_bnc: Tensor) -> Tensor:
        """What lies between positions and the blocks."""
        return x_bnc

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid, x_bnc = self.grid_of(images), site(self.project(images))
        if self.class_token:
            token = attrgetter(self.class_token_key)(self.host)
            x_bnc = torch.cat([token.expand(len(x_bnc), 1, -1), x_bnc], dim=1)
        return Tokens.start(self.begin(self.place(x_bnc, *images.shape[-2:])), self.prefix, grid)

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        if not self.gated:
            return super().fc1(block, h_bnc)
        return torch.cat([linear(h_bnc) for linear in attrgetter(*GATED)(block)], dim=-1)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        if not self.gated:
            return super().activation(block, z_bnc)
        gate_bnc, up_bnc = z_bnc.chunk(2, dim=-1)
        return block.mlp.act_fn(gate_bnc) * up_bnc

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """As for every host, but a gated FFN has two linears, and the table may be of another grid."""
        if name == 'fc1' and self.gated:
            what = f'{name} of layer {layer}'
            return SideBySide(tuple(self.operator_at(self.blocks[layer - 1], path, what) for path in GATED))
        found = super().operator(layer, name)
        if name == 'embed' and self.table_key:
            table = attrgetter(self.table_key)(self.host).detach().reshape(-1, self.width)
            found = replace(found, positions=table[int(self.class_token) :])
        return found

    def pooled(self, t: Tokens) -> Tensor:
        return t.x_bnc[:, 0]

    def answer(self, images: Tensor) -> Tensor:
        """What the library itself computes of images of any size, pooled: B×C."""
        found = self.host(images, **self.any_size_options)
        return found.last_hidden_state[:, 0] if found.pooler_output is None else found.pooler_output


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return a size as height and width."""
    return (size, size) if isinstance(size, int) else tuple(size)
