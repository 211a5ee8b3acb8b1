"""The weights of a frozen model, and proof that they stay what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError

KEY = 'mmsparse_frozen'  # in the metadata of a torch state dict: what a state's card says of a module's frozen models


@contextmanager
def seeded() -> Iterator[None]:
    """Draw from seed 0: a random host is the same in every process, and the run's random state does not notice."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def sketching() -> bool:
    """Tell whether hosts are built on torch's meta device, which holds no values: no weights are read for them
    then.
    """
    return torch.get_default_device().type == 'meta'


class FrozenModel(NamedTuple):
    """A network that a model holds and does not train, such as a host; saved states keep its fingerprint instead of
    it.

    A model names them in its property `frozen_models`, a dict from attribute to `FrozenModel`.

    Args:
        module: the network.
        name, source: what it is and where its weights are from, for cards.
        filed: parameters that stand otherwise in their file (position embeddings of another grid), as they stand
            there: what was computed from them depends on the kernels of the processor, and would be another host on
                the next
            machine. None: the network was drawn from a seed.
    """

    module: nn.Module
    name: str
    source: str
    filed: Mapping[str, Tensor] | None = MappingProxyType({})

    @property
    def trains(self) -> frozenset[str]:
        """Names of the parameters that train all the same; states hold them."""
        return frozenset(name for name, parameter in self.module.named_parameters() if parameter.requires_grad)

    def fingerprint(self) -> str:
        """Return the SHA-256 of what does not train, by the file; of a drawn network that of seed and architecture."""
        own, trains = dict(self.module.named_parameters()) | (self.filed or {}), self.trains
        frozen = {name: value for name, value in sorted(own.items()) if name not in trains}
        if self.filed is not None:
            return digest(frozen)
        shapes = [f'{name} {value.dtype} {tuple(value.shape)}' for name, value in frozen.items()]
        return hashlib.sha256('\n'.join([self.source, type(self.module).__qualname__, *shapes]).encode()).hexdigest()

    def check(self, card: Mapping, file: object) -> None:
        """Refuse the state of another network.

        Args:
            card: name and fingerprint of the network that the state belongs to.
            file: the state, named in the error.

        Raises:
            InputError: the fingerprint is neither this one's nor the one that the first versions took of it.
        """
        theirs, ours = card.get('fingerprint'), self.fingerprint()
        if theirs not in (ours, fingerprint(self.module, self.trains)):
            raise InputError(
                f'{file}: this adapter belongs to another host: its card says {card.get("name")} '
                f'({str(theirs)[:12]}), the config builds {self.name} ({ours[:12]}). Use the config that trained it, '
                'or load the weights that the card names.'
            )


def fill_frozen(part: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    """Complete the tensors of a state with the frozen weights of the part that loads them; other state dicts stay as
    they are.

    Args:
        part: a module with `frozen_models`.
        state_dict, prefix, local_metadata: as torch hands them to a module.

    Raises:
        InputError: another host, or tensors of the part that are missing or of another shape.
    """
    for name, (card, file) in local_metadata.get(KEY, {}).items():
        frozen = part.frozen_models[name]
        frozen.check(card, file)
        for key, value in frozen.module.state_dict().items():
            if key not in frozen.trains:
                state_dict.setdefault(f'{prefix}{name}.{key}', value)
        given = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
        if wrong := tensor_differences(given, part.state_dict(prefix=prefix)):
            raise InputError(
                f'{file}: these are not the tensors of this model. Tensors {wrong}. Use the config that trained it.'
            )


def tensor_differences(
    given: Mapping[str, Tensor],
    ours: Mapping[str, Tensor],
    needed: Mapping[str, Tensor] | None = None,
) -> str:
    """Say which tensors are missing, unexpected or of another shape, at most three of each kind; '' where all fit.

    Args:
        given: by name.
        ours: what there is a place for.
        needed: what of it may not be missing, by default all.
    """
    both = sorted(ours.keys() & given.keys())
    found = {
        'missing': sorted((ours if needed is None else needed).keys() - given.keys()),
        'unexpected': sorted(given.keys() - ours.keys()),
        'of another shape': [
            f'{name} {tuple(given[name].shape)} for {tuple(ours[name].shape)}'
            for name in both
            if given[name].shape != ours[name].shape
        ],
    }
    return '; '.join(
        f'{kind}: {", ".join(names[:3])}{f" and {len(names) - 3} more" if len(names) > 3 else ""}'
        for kind, names in found.items()
        if names
    )


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, types, shapes and bytes of tensors, whatever their order."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return sha.hexdigest()


def fingerprint(module: nn.Module, trains: frozenset[str] = frozenset()) -> str:
    """Return the digest of all parameters that do not train, as they are now: states of the first versions keep it."""
    return digest({name: value for name, value in module.named_parameters() if name not in trains})
