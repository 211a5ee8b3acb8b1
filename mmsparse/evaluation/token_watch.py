"""Look at the sequence while a backbone runs, through the same sites that adapters use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones import SparseViT
from mmsparse.models.backbones.encoder import exchanged
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.ops.attention import Probe
from mmsparse.structures import Plan, Tokens


def tokens_per_layer(
    backbone: SparseViT, images: Tensor, run: Callable[[Tensor], object] | None = None
) -> list[Tokens]:
    """Return the tokens that enter each layer's FFN, all tokens.

    Args:
        backbone: in the mode that is wanted; it is left as it was.
        images: B×3×H×W, normalised as the host expects.
        run: what sends the images through the backbone, such as a model with a context; None: the backbone alone.
    """
    watcher = _Watcher()
    with (
        exchanged(backbone.encoder, lambda given: dict(given, adapters=[*given['adapters'], watcher])),
        torch.no_grad(),
    ):
        (run or backbone.forward_tokens)(images)
    return watcher.seen


def rows_taken(backbone: SparseViT, images: Tensor, run: Callable[[Tensor], object] | None = None) -> list[list[int]]:
    """Return by how many tokens of an image or a frame each sparsifier shortens the sequence in every layer;
    arguments as above."""
    noted = [_Noted(part, backbone.view.depth) for part in backbone.sparsifiers]
    with exchanged(backbone.encoder, lambda given: dict(given, sparsifiers=noted)), torch.no_grad():
        (run or backbone.forward_tokens)(images)
    return [part.taken for part in noted]


class _Noted:
    def __init__(self, part: BaseSparsifier, depth: int):
        self._part, self.taken = part, [0] * depth

    def __getattr__(self, key: str) -> object:
        return getattr(self._part, key)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        made = self._part.plan(layer, tokens, probe)
        if made is not None:
            frames = tokens.frames if made.joins_frames else 1
            self.taken[layer - 1] = (frames * tokens.x_bnc.shape[1] - made.length) // (frames * tokens.joined)
        return made


class _Watcher(BaseAdapter):
    sites, reads_input = ('norm2',), False

    def __init__(self):
        super().__init__()
        self.seen = []

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        self.seen.append(t)
        return y
