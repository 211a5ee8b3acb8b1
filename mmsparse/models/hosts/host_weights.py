"""The weights of a frozen model, and proof that they stay what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn


@contextmanager
def seeded() -> Iterator[None]:
    """Draw from a seed of its own: a random host is the same in every process, and the run's random state does not notice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def sketching() -> bool:
    """Whether hosts are built on torch's meta device, which holds no values: no weights are read for them then."""
    return torch.get_default_device().type == 'meta'


class FrozenModel(NamedTuple):
    """A network that a model holds and does not train, as its property `frozen_models` (a dict by attribute) names it.

    States leave such weights out and keep the fingerprint instead.

    Args:
        module: the network.
        name, source: for cards.
        filed: parameters that stand otherwise in their file (positions of another grid), as they stand there; None: the network was drawn from
            a seed. What was computed depends on the kernels of the processor, and would be another host on the next machine.
    """

    module: nn.Module
    name: str
    source: str
    filed: Mapping[str, Tensor] | None = MappingProxyType({})

    def fingerprint(self, trains: frozenset[str] = frozenset()) -> str:
        """Return the digest of what does not train, by the file; of a drawn network that of its seed and architecture."""
        if self.filed is None:
            return hashlib.sha256('\n'.join([self.source, type(self.module).__qualname__, *_shapes(self.module, trains)]).encode()).hexdigest()
        own = dict(self.module.named_parameters()) | self.filed
        return digest({name: value for name, value in own.items() if name not in trains})


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, types, shapes and bytes of tensors, whatever their order."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()


def fingerprint(module: nn.Module, trains: frozenset[str] = frozenset()) -> str:
    """Return the digest of all parameters that do not train, as they are now: what states of the first versions keep."""
    return digest({name: value for name, value in module.named_parameters() if name not in trains})


def _shapes(module: nn.Module, trains: frozenset[str]) -> list[str]:
    return [f'{name} {value.dtype} {tuple(value.shape)}' for name, value in sorted(module.named_parameters()) if name not in trains]
