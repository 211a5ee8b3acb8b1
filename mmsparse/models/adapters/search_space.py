"""The sub-networks of a super-network (NOAH), and what an evolution makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from numpy.random import Generator

from mmsparse.errors import InputError
from mmsparse.utils.value_checks import is_list, is_whole

MODULES = ('prompts', 'lora', 'adapter')
Subnet = dict[str, list[int]]  # for each module as many sizes as there are layers; 0: the layer has none


class SearchSpace:
    """Every module has a depth, a quarter, half, three quarters or all of the layers, and one of the sizes in each
    layer up to it (Zhang et al., arXiv 2206.04673).

    Args:
        name: of the method, for errors.
        sizes: of a module in a layer.
        layers: of the host.
        width: of the host.

    Raises:
        InputError: sizes that are no different integers of at least 1, or one above the width.
    """

    def __init__(self, name: str, sizes: Sequence[int], layers: int, width: int):
        right = is_list(sizes) and all(is_whole(size) and 1 <= size <= width for size in sizes)
        if not right or len(set(sizes)) < len(sizes):
            raise InputError(
                f'{name}: received sizes={sizes!r}, expected different integers from 1 to {width}, the width of the '
                'host, such as (1, 5, 10).'
            )
        self.name, self.sizes, self.layers = name, tuple(sizes), layers
        self.depths = sorted({-(-layers * quarter // 4) for quarter in (1, 2, 3, 4)})

    @property
    def largest(self) -> int:
        """The size of a super-network's modules."""
        return max(self.sizes)

    @property
    def whole(self) -> Subnet:
        """The super-network."""
        return {module: [self.largest] * self.layers for module in MODULES}

    @property
    def smallest(self) -> Subnet:
        """The sub-network with the fewest parameters."""
        depth = self.depths[0]
        return {module: [min(self.sizes)] * depth + [0] * (self.layers - depth) for module in MODULES}

    def checked(self, subnet: Mapping[str, Sequence[int]] | str) -> Subnet:
        """Return a sub-network that someone gives, or whose file (.json) someone names.

        Raises:
            InputError: not one of this super-network, or no file of one.
        """
        given = read_subnet(subnet) if isinstance(subnet, str) else subnet
        right = isinstance(given, Mapping) and set(given) == set(MODULES)
        for sizes in given.values() if right else ():
            right = right and is_list(sizes) and len(sizes) == self.layers
            right = right and all(is_whole(size) and 0 <= size <= self.largest for size in sizes)
        if not right:
            raise InputError(
                f'{self.name}: received subnet={given!r}, expected {", ".join(MODULES)}, for each a list of '
                f'{self.layers} sizes, one per layer, from 0 to {self.largest}, which the super-network has.'
            )
        return {module: list(given[module]) for module in MODULES}

    def drawn(self, random: Generator) -> Subnet:
        """Return a sub-network: depths and sizes drawn uniformly."""
        return {module: self._extended([], int(random.choice(self.depths)), random) for module in MODULES}

    def mutated(self, subnet: Subnet, random: Generator, rate: float, depth_rate: float) -> Subnet:
        """Return one with other depths, each module's drawn anew with probability `depth_rate`, and other sizes, each
        layer's with probability `rate`.
        """
        out = {}
        for module, sizes in subnet.items():
            own = [int(random.choice(self.sizes)) if random.random() < rate else size for size in sizes if size]
            depth = int(random.choice(self.depths)) if random.random() < depth_rate else len(own)
            out[module] = self._extended(own, depth, random)
        return out

    @staticmethod
    def crossed(one: Subnet, other: Subnet, random: Generator) -> Subnet:
        """Return a child of two: each module is that of one of them."""
        return {module: list((one, other)[int(random.integers(2))][module]) for module in MODULES}

    def _extended(self, sizes: list[int], depth: int, random: Generator) -> list[int]:
        """Cut or extend the sizes of the first layers to a depth; behind it there are none."""
        more = [int(size) for size in random.choice(self.sizes, max(depth - len(sizes), 0))]
        return [*sizes[:depth], *more, *[0] * (self.layers - depth)]


def read_subnet(path: str) -> object:
    """Return what a search has written into a file.

    Raises:
        InputError: not a readable file of JSON whose name ends in .json.
    """
    try:
        if Path(path).suffix != '.json':  # a card's text of this form is refused before anything opens it
            raise ValueError('the name does not end in .json')
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f'subnet={path!r}: no sub-network can be read there ({error}). Name the subnet.json that a search has '
            'written (configs/peft/README.md), or give its sizes.'
        ) from error
