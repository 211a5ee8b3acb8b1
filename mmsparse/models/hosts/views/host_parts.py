"""Where a host, the frozen ViT, keeps its parts: named once, checked, and handed out as operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from operator import attrgetter

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError, refuse
from mmsparse.models.hosts.views.operators import Operator, SideBySide

QKV = ('q', 'k', 'v')
IDENTITY, LINEAR = (f'torch.nn.modules.linear.{name}' for name in ('Identity', 'Linear'))


def qualified(module: nn.Module) -> str:
    """Return the module-qualified class name: timm's BEiT also calls its classes Block and Attention."""
    return f'{type(module).__module__}.{type(module).__qualname__}'


class Parts:
    """Where a host keeps its parts: what a view says in class attributes, and what follows from that.

    Args:
        host: the model; every block is checked, an unknown one is refused.
        name: for messages and cards; None: the library's and the class's.
        source: where the weights came from, for cards.

    Attributes:
        model_types: qualified names of the classes that the view may run.
        part_types: path in a block ('' is the block itself) to the qualified names of the classes known there.
        parts: name to path. In the host: `blocks`, `embed` and, where a final norm sees all tokens, `norm`. In a
            block: qkv (or q, k and v), proj, fc1 and fc2; where the host has them norm1 and norm2 (those before the
            branches; one behind a branch is a link of its chain), q_norm and k_norm, and `attended`, a norm between
            attention and its projection. Three are numbers of a block: `heads`, `dropout`
            (probability of an attention weight to be dropped) and, where it is not d**-0.5, `scale`. A path that ends
            in an underscore begins the names of parameters without a module of their own.
        chains: paths in a block of what runs one after another: `attention_branch` (behind proj), `activation`
            (between fc1 and fc2) and `mlp_branch` (behind fc2). In a branch a parameter is a layer scale, and None is
            passed by.
        position_key: path of the host's table of position embeddings, those of the patches last.
        after_blocks: how the host's keys behind the blocks begin.
        unread: keys of the host that no forward pass here reads, such as the token that stands for masked patches.
        width, depth, heads: embed_dim, number of blocks, attention heads.
    """

    model_types: tuple[str, ...] = ()
    part_types: Mapping[str, tuple[str, ...]] = {}
    parts: Mapping[str, str] = {}
    chains: Mapping[str, tuple[str, ...]] = {}
    position_key: str = 'pos_embed'
    after_blocks: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    width: int
    patches: int

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        self.host, self.source = host, source
        self.name = name or f'{qualified(host).split(".")[0]} {type(host).__name__}'
        self.blocks = attrgetter(self.parts['blocks'])(host)
        self.depth = len(self.blocks)
        for index, block in enumerate(self.blocks, start=1):
            self.check_parts(index, block)
        refuse(f'{self.name}: {fault}' for fault in self.host_faults())
        self.heads = attrgetter(self.parts['heads'])(self.blocks[0])

    @classmethod
    def knows_blocks(cls, host: nn.Module) -> bool:
        """Tell whether the type of the host's first block is one of `part_types`: what others refuse is no news."""
        first = attrgetter(cls.parts['blocks'])(host)[0]
        return qualified(first) in cls.part_types.get('', (qualified(first),))

    def check_parts(self, index: int, block: nn.Module) -> None:
        """Refuse a block that this view cannot run: scale norms and gates hide inside a known class.

        Args:
            index: the block's number, from 1.
            block: what of it is in `part_types` is checked; a part that it has not, such as one linear of two, is not.

        Raises:
            InputError: names the part. A subclass that extends this method raises it too.
        """
        refuse(
            f'{type(self).__name__}: block {index} of {self.name} {fault}, which this view cannot run. A new kind of '
            'host needs a view of its own: CONTRIBUTING.md, Add a host.'
            for fault in self.block_faults(block)
        )

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        """Yield what of a block this view cannot run, as 'block 1 of …' goes on: 'gates its attention'."""
        found = {path: qualified(module) for path, module in block.named_modules(remove_duplicate=False)}
        for path, known in self.part_types.items():
            if found.get(path, known[0]) not in known:
                yield f'has a {path or "type"} of {found[path]} (known: {", ".join(known)})'

    def host_faults(self) -> Iterator[str]:
        """Yield what of the host, apart from its blocks, this view cannot run, in whole sentences."""
        return iter(())

    @property
    def channels(self) -> int:
        """Channels of the images that the host takes."""
        embed = self.operator(0, 'embed')
        return embed.shape[1] if embed is not None and len(embed.shape) == 4 else 3

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """Return the parameters of an affine operator of the host, or None where there is none.

        Args:
            layer: counted from 1; not read for embed and norm.
            name: embed, norm1, q, k, v, proj, norm2, fc1, fc2 or norm.

        Raises:
            InputError: something has been put around its module, whose weights are not the host's alone.
        """
        owner = self.host if name in ('embed', 'norm') else self.blocks[layer - 1]
        found = self.operator_at(owner, self.path(name), f'{name} of layer {layer}')
        if found is not None and name in QKV and name not in self.parts:
            third = QKV.index(name)
            bias = None if found.bias is None else found.bias.chunk(3)[third]
            weight = found.weight.chunk(3)[third]
            found = replace(found, weight=weight, bias=bias, first=third * len(weight))
        if found is not None and name == 'embed':
            table = {**dict(self.host.named_buffers()), **dict(self.host.named_parameters())}.get(self.position_key)
            positions = None if table is None else table.detach().reshape(-1, self.width)[-self.patches :]
            found = replace(found, positions=positions)
        return found

    def operator_at(self, owner: nn.Module, path: str | None, what: str) -> Operator | None:
        """Return the operator at a path in `owner`, or None where nothing with a weight is there; `what` names it in
        errors."""
        key = f'{path}weight' if path and path.endswith('_') else f'{path}.weight'
        path, _, start = path.rpartition('.') if path and path.endswith('_') else (path, '', '')
        module = dict(owner.named_modules(remove_duplicate=False)).get(path)
        weight, bias = (getattr(module, f'{start}{key}', None) for key in ('weight', 'bias'))
        if weight is None and (module is None or next(module.parameters(), None) is None):
            return None
        if type(weight) is not nn.Parameter or f'{start}weight' not in module._parameters:
            raise InputError(
                f'{self.name}: {what} is a {qualified(module)}, whose weight is no plain parameter that an adapter '
                'can be measured by or merge into. Put what wraps or quantises the host around it after the adapters '
                'are built, and take it off before they merge.'
            )
        return Operator(weight.detach(), None if bias is None else bias.detach(), module=module, key=key)

    def weight(self, layer: int, name: str) -> Tensor:
        """Return the weight of an operator of a block, out×in, with its gradient if it has one."""
        parts, block = self.matrices(layer, name), self.blocks[layer - 1]
        rows = [block.get_parameter(part.key)[part.first : part.first + len(part.weight)] for part in parts]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def matrices(self, layer: int, name: str) -> tuple[Operator, ...]:
        """Return the operators that stand side by side in one of a block, mostly itself, for others in their place.

        Raises:
            InputError: one of branches that run side by side, whose norms or scales lie in between.
        """
        operator = self.operator(layer, name)
        if not isinstance(operator, Operator | SideBySide):
            raise InputError(
                f'{self.name}: {name} of layer {layer} is made of the matrices of several branches, which none can '
                'replace. Adapt this host by what acts at sites, such as mmsparse.LoRA.'
            )
        return operator.parts

    def with_weights(self, layer: int, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return a block that runs with other weights; all else it shares with the host's, which stays as it is.

        Args:
            layer: counted from 1.
            weights: out×in, by operator.
        """
        block, rows = self.blocks[layer - 1], defaultdict(dict)
        for name, weight in weights.items():
            parts = self.matrices(layer, name)
            for part, own in zip(parts, weight.split([len(part.weight) for part in parts])):
                rows[part.key][part.first] = own
        return _twin(block, {key: _whole(block.get_parameter(key), own) for key, own in rows.items()})

    def path(self, name: str) -> str | None:
        """Return the path of a part, None where there is none; fused q, k and v share theirs."""
        return self.parts.get('qkv' if name in QKV and name not in self.parts else name)

    def without(self, *names: str) -> dict[str, str]:
        """Return `parts` but those."""
        return {key: path for key, path in self.parts.items() if key not in names}

    def layer_of(self, key: str) -> int:
        """Return the layer of a parameter of the host: 0 before the blocks, `depth` + 1 behind them."""
        stem = f'{self.parts["blocks"]}.'
        if key.startswith(stem):
            return int(key.removeprefix(stem).split('.')[0]) + 1
        return self.depth + 1 if key.startswith(self.after_blocks) else 0

    def pools(self, key: str) -> bool:
        """Tell whether a parameter of the host is only read by `pooled`."""
        norms = 'norm' in self.parts and key.startswith(f'{self.parts["norm"]}.')
        return key.startswith(self.after_blocks) and not norms


def _whole(parameter: Tensor, rows: Mapping[int, Tensor]) -> Tensor:
    """Return a weight some of whose rows are others, by the first of each."""
    pieces, end = [], 0
    for first in sorted(rows):
        pieces += [parameter[end:first], rows[first]]
        end = first + len(rows[first])
    pieces = [piece for piece in (*pieces, parameter[end:]) if len(piece)]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _twin(module: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of a module that shares everything with it but the parameters at some keys."""
    twin, below = copy(module), defaultdict(dict)
    for key, tensor in tensors.items():
        child, name = key.split('.', 1) if '.' in key else ('', key)
        below[child][name] = tensor
    twin._parameters = module._parameters | below.pop('', {})
    twin._modules = module._modules | {child: _twin(module._modules[child], own) for child, own in below.items()}
    return twin
