"""Training data whose randomness belongs to the sample, in an order that can be entered anywhere.

A run that was stopped in the middle of an epoch goes on as if nobody had stopped it: what a transform draws is a
function of seed, epoch and sample, whichever process draws it and whatever it drew before, and the batches that have
been trained are passed over as numbers, without loading them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, get_worker_info


class Place(int):
    """The index of a sample, with what its randomness begins with.

    Attributes:
        origin: seed of the run and epoch (of endless data: the round through the data).
    """

    origin: tuple[int, int]

    def __new__(cls, index: int, origin: tuple[int, int]) -> Place:
        place = super().__new__(cls, index)
        place.origin = origin
        return place

    def __reduce__(self):
        return Place, (int(self), self.origin)


class SeededSamples:
    """A dataset of which each sample, asked for by its `Place`, draws what belongs to it; else it is the dataset."""

    def __init__(self, dataset):
        self.dataset = dataset

    @property
    def __class__(self) -> type:
        return type(self.dataset)  # for isinstance, and for whoever names it

    def __reduce__(self):
        return SeededSamples, (self.dataset,)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, Place):
            return self.dataset[index]
        with drawing_from((*index.origin, int(index))):
            return self.dataset[int(index)]

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':  # nor while it is unpickled in a worker
            raise AttributeError(name)
        return getattr(self.dataset, name)


class SeededBatches:
    """A batch sampler's batches, of `Place`s; `enter` lets the next round begin behind some of them.

    Args:
        batches: the batch sampler.
        seed: of the run.
        samples: in the dataset.
    """

    def __init__(self, batches: BatchSampler, seed: int, samples: int):
        self.batches, self.seed, self.samples = batches, seed, samples
        self.number = self.first = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'batches':
            raise AttributeError(name)
        return getattr(self.batches, name)

    @property
    def endless(self) -> bool:
        """Whether the sampler goes on for ever, round after round (MMEngine's InfiniteSampler)."""
        return hasattr(self.batches.sampler, 'skip')

    def enter(self, number: int) -> None:
        """Let the next round begin at a batch; endless ones go on there."""
        if self.endless:
            self.batches.sampler.skip(number * self.batches.batch_size)
            self.number = number
        else:
            self.first = number

    def __iter__(self) -> Iterator[list[Place]]:
        first, self.first = self.first, 0
        for batch in islice(iter(self.batches), first, None):
            yield [Place(index, (self.seed, self._round())) for index in batch]
            self.number += 1

    def _round(self) -> int:
        sampler = self.batches.sampler
        if not self.endless:
            return getattr(sampler, 'epoch', 0)
        return self.number * self.batches.batch_size * getattr(sampler, 'world_size', 1) // self.samples


@contextmanager
def drawing_from(origin: Sequence[int]) -> Iterator[None]:
    """Let Python's, NumPy's and torch's generators begin at what the numbers say; leave them as they were."""
    alone = get_worker_info() is None  # a worker draws for samples only
    if alone:
        before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed = int(np.random.SeedSequence(list(origin)).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        if alone:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_rng_state(before[2])


def seeded(loader: DataLoader, seed: int) -> DataLoader:
    """Return the loader, made to draw by sample and begin anywhere; one without batches of indices is left alone."""
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        return loader
    batches = SeededBatches(loader.batch_sampler, seed, len(loader.dataset))
    # torch forbids to exchange them, lest they disagree with each other; these stand for those that are there
    vars(loader).update(dataset=SeededSamples(loader.dataset), batch_sampler=batches)
    return loader
