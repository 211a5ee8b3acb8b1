"""Look at the sequence while a backbone runs, through the same sites that adapters use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmsparse.tokens import Tokens

from .adapters.base import BaseAdapter
from .backbones import SparseViT


def tokens_per_layer(backbone: SparseViT, images: Tensor, run: Callable[[Tensor], object] | None = None) -> list[Tokens]:
    """Return the tokens that enter each layer's FFN, all rows.

    Args:
        backbone: in the mode that is wanted; it is left as it was.
        images: B×3×H×W, normalised as the host expects.
        run: what sends the images through the backbone, such as a model that hands it a context; None: the backbone alone.
    """
    watcher, encoder = _Watcher(), backbone.encoder
    adapters, encoder.adapters = encoder.adapters, [*encoder.adapters, watcher]
    try:
        with torch.no_grad():
            (run or backbone.forward_tokens)(images)
    finally:
        encoder.adapters = adapters
    return watcher.seen


class _Watcher(BaseAdapter):
    def __init__(self):
        super().__init__()
        self.seen = []

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        if name == 'norm2':
            self.seen.append(t)
        return y
