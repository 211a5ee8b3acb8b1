"""Tensors that are cheap to make: who keeps one for the backward pass keeps how it was made."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor


class Recipe:
    """How a tensor was made: `function(*inputs)`, where the last input is a tensor."""

    def __init__(self, made: Tensor, function: Callable[..., Tensor], *inputs: object):
        *first, x = inputs
        self.function, self.inputs = function, (*first, x.detach())
        self.made, self.version = weakref.ref(made), made._version

    def tells_of(self, tensor: Tensor) -> bool:
        """Tell whether a tensor that lies where the made one lay has its values: it lives, and nobody wrote to it."""
        return self.made() is not None and tensor._version == self.version

    def again(self) -> Tensor:
        """Make the tensor once more."""
        with torch.no_grad():
            return self.function(*self.inputs)


class Kept(NamedTuple):
    """A view of a made tensor."""

    recipe: Recipe
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


class MadeAgain:
    """Knows the recipes of one network.

    What was made lives on until the pass lets it go; then only its inputs do, and they only where somebody keeps it.
    """

    def __init__(self):
        self._recipes = weakref.WeakValueDictionary()  # by the address of what was made

    def __reduce__(self) -> tuple:
        return MadeAgain, ()  # the recipes are of passes of this process

    def make(self, function: Callable[..., Tensor], *inputs: object) -> Tensor:
        """Return `function(*inputs)`, which must give the same whenever it is asked; the last input is a tensor."""
        made = function(*inputs)
        if made.untyped_storage().data_ptr() != inputs[-1].untyped_storage().data_ptr():
            made.recipe = self._recipes[made.untyped_storage().data_ptr()] = Recipe(made, function, *inputs)
        return made

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Let what is kept of made tensors be their recipes, as long as the context lasts."""
        # the hooks around this context would not be asked any more; saved bytes are counted by such ones
        keep, give = torch._C._autograd._top_saved_tensors_default_hooks(False) or (_same, _same)

        def pack(tensor: Tensor) -> object:
            recipe = self._recipes.get(tensor.untyped_storage().data_ptr())
            if recipe is None or not recipe.tells_of(tensor):
                return keep(tensor)
            keep(recipe.inputs[-1])
            return Kept(recipe, tensor.size(), tensor.stride(), tensor.storage_offset())

        def unpack(kept: object) -> Tensor:
            if not isinstance(kept, Kept):
                return give(kept)
            return kept.recipe.again().as_strided(kept.size, kept.stride, kept.offset)

        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield


def _same(tensor: Tensor) -> Tensor:
    return tensor
