"""A view says where a host keeps its parts; the host itself stays untouched."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from types import MappingProxyType

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.pixels import Pixels
from mmsparse.models.hosts.views.operators import Operator, SideBySide
from mmsparse.structures.tokens import Tokens

QKV = ('q', 'k', 'v')


def qualified(module: nn.Module) -> str:
    """Return the module-qualified class name: timm's BEiT also calls its classes Block and Attention."""
    return f'{type(module).__module__}.{type(module).__qualname__}'


class View(ABC):
    """A host ViT's parts, one subclass per host library.

    Args:
        host: the model; every part is checked, an unknown one is refused.

    Attributes:
        name: for messages and cards.
        source: where the weights came from, for cards.
        width, depth, heads: D, number of blocks, attention heads.
        class_token: whether row 0 is a class token.
        prefix: rows before the patches (class token, registers).
        grid, patch: patches (h, w) of the configured input, pixels (h, w) of a patch.
        blocks: the blocks, in order.
        operators: where parameters are, up to 'weight' and 'bias': embed and norm from the host, norm1, qkv (or q, k and v), proj, norm2, fc1
            and fc2 from a block. A host whose rows get no final norm has no parameters there.
        position_key: the host's parameter of position embeddings, patches last.
        after_blocks: how the host's keys behind the blocks begin.
        reserved: rows that adapters add to the prefix.
        filed: as of `FrozenModel`.
        pixels: by which the images that the weights were trained on were normalised, or None: not known, or random weights.
    """

    model_types: tuple[str, ...] = ()
    block_types: tuple[str, ...] = ()
    part_types: dict[str, tuple[str, ...]] = {}
    operators: dict[str, str] = {}
    position_key: str = 'pos_embed'
    after_blocks: tuple[str, ...] = ()
    reserved: int = 0
    filed: Mapping[str, Tensor] | None = MappingProxyType({})
    pixels: Pixels | None = None

    name: str
    source: str = 'as given'
    width: int
    depth: int
    heads: int
    class_token: bool
    prefix: int
    grid: tuple[int, int]
    patch: tuple[int, int]
    any_size: bool
    blocks: nn.ModuleList | nn.Sequential

    def __init__(self, host: nn.Module):
        if qualified(host) not in self.model_types:
            raise InputError(f'{type(self).__name__}: received a model of type {qualified(host)}, expected one of {self.model_types}.')
        self.host = host

    @property
    def patches(self) -> int:
        """Patches of the configured input."""
        return self.grid[0] * self.grid[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the configured input, pixels."""
        return self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]

    def reserve_prefix(self, rows: int) -> int:
        """Return where an adapter finds the rows that it adds to the prefix: behind the host's own and those of adapters built before."""
        start = self.prefix + self.reserved
        self.reserved += rows
        return start

    def operator(self, layer: int, name: str) -> Operator | SideBySide | None:
        """Return an operator of the host, or None where there is none.

        Args:
            layer: counted from 1; not read for embed and norm.
            name: embed, norm1, q, k, v, proj, norm2, fc1, fc2 or norm.

        Raises:
            InputError: something has been put around its module, whose weights are not the host's alone.
        """
        owner = self.host if name in ('embed', 'norm') else self.blocks[layer - 1]
        found = self.operator_at(owner, self.stem(name), f'{name} of layer {layer}')
        if found is None:
            return None
        if name in QKV and name not in self.operators:
            own = [None if value is None else value.chunk(3)[QKV.index(name)] for value in (found.weight, found.bias)]
            found = replace(found, weight=own[0], bias=own[1])
        table = getattr(self.host, self.position_key, None) if name == 'embed' else None
        return replace(found, positions=None if table is None else table.detach().reshape(-1, self.width)[-self.patches :])

    def operator_at(self, owner: nn.Module, stem: str | None, what: str) -> Operator | None:
        """Return the parameters whose keys in `owner` begin so; `what` names them in errors."""
        path, _, start = (stem or '').rpartition('.')
        module = None if stem is None else dict(owner.named_modules(remove_duplicate=False)).get(path)
        weight, bias = (getattr(module, f'{start}{key}', None) for key in ('weight', 'bias'))
        if weight is None and (module is None or next(module.parameters(), None) is None):
            return None
        if type(weight) is not nn.Parameter or f'{start}weight' not in module._parameters:
            raise InputError(
                f'{self.name}: {what} is a {qualified(module)}, whose weight is no plain parameter that an adapter can be measured by or merge into. '
                'Put what wraps or quantises the host around it after the adapters are built, and take it off before they merge.'
            )
        return Operator(weight.detach(), None if bias is None else bias.detach(), module=module)

    def stem(self, name: str) -> str | None:
        """Return how the keys of an operator begin, within the host or its block; fused q, k and v share theirs. None: there is none."""
        return self.operators.get('qkv' if name in QKV and name not in self.operators else name)

    def layer_of(self, key: str) -> int:
        """Return the layer that a key of the host belongs to: 0 before the blocks, `depth` + 1 behind them."""
        stem = next(name for name, module in self.host.named_modules() if module is self.blocks[0]).removesuffix('0')
        if key.startswith(stem):
            return int(key.removeprefix(stem).split('.')[0]) + 1
        return self.depth + 1 if key.startswith(self.after_blocks) else 0

    def pools(self, key: str) -> bool:
        """Tell whether a key of the host is only read by `pooled`."""
        return key.startswith(self.after_blocks) and not ('norm' in self.operators and key.startswith(self.operators['norm']))

    @abstractmethod
    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        """Return the first sequence; `site` sees the patch projection before class token and positions."""

    @abstractmethod
    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        """Norm before attention."""

    @abstractmethod
    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of the rows in hq_bnc, keys and values of those in h_bnc; when both are one tensor, in one product."""

    def values(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        """Return values alone, for a readout that attends by something else."""
        return self.qkv(block, h_bnc[:, :0], h_bnc)[2]

    @abstractmethod
    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split heads (B×H×N×d) and apply q/k norms."""

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        """Rotate queries or keys of the first rows of `t`, where the host's positions are rotary."""
        return x_bhnd

    @abstractmethod
    def scale(self, block: nn.Module) -> float:
        """Factor of the attention logits."""

    @abstractmethod
    def attention_dropout(self, block: nn.Module) -> float:
        """Probability of an attention weight to be dropped now (0 in evaluation)."""

    def attended(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        """What lies between attention and its projection: nothing, or a norm (EVA-02's CLIP towers, BEiT-3)."""
        return o_bnc

    @abstractmethod
    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        """Output projection."""

    @abstractmethod
    def attention_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        """What follows the projection: dropout, layer scale, drop-path."""

    @abstractmethod
    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        """Norm before the FFN."""

    @abstractmethod
    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        """First linear of the FFN; of a gated one the gate and what it gates side by side (B×N×2h), in the host's order, in one linear or two."""

    @abstractmethod
    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        """What lies between the two linears."""

    @abstractmethod
    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        """Second linear of the FFN."""

    @abstractmethod
    def mlp_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        """What follows the second linear: dropout, layer scale, drop-path."""

    @abstractmethod
    def norm(self, x_bnc: Tensor) -> Tensor:
        """Final norm."""

    @abstractmethod
    def pooled(self, t: Tokens) -> Tensor:
        """The host's own pooling and what follows it, without its classifier: B×C."""

    def without_last(self) -> View:
        """Return the view of all blocks but the last, in whose place a readout runs: no part may expect it."""
        shorter = copy(self)
        shorter.blocks, shorter.depth = self.blocks[:-1], self.depth - 1
        return shorter

    def divide(self, height: int, width: int) -> tuple[int, int]:
        """Return the patch grid of an image of this many pixels.

        Raises:
            InputError: the patch size does not divide it.
        """
        ph, pw = self.patch
        if height % ph or width % pw:
            raise InputError(
                f'{self.name}: received an image size of {height}×{width} pixels, which its patches of {ph}×{pw} do not divide. '
                f'Use a multiple, such as {max(1, height // ph) * ph}×{max(1, width // pw) * pw}; to have the pictures of a segmentation test '
                f'padded, set model.data_preprocessor.test_cfg=dict(size_divisor={math.lcm(ph, pw)}).'
            )
        return height // ph, width // pw

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """Return the patch grid of a batch.

        Raises:
            InputError: the patch size does not divide it, or the host has a fixed input size and this is another.
        """
        height, width = images.shape[-2:]
        grid = self.divide(height, width)
        if not self.any_size and grid != self.grid:
            raise InputError(
                f'{self.name}: received images of {height}×{width} pixels, but the host is built for '
                f'{self.image_size[0]}×{self.image_size[1]}. '
                'Set host.img_size to what the pipeline delivers, or the pipeline to the size of the host.'
            )
        return grid

    def check_parts(self, index: int, block: nn.Module) -> None:
        """Refuse a block that this view does not know how to run; `part_types` lists what is known, from the block inwards.

        Args:
            index: the block, counted from 1.
            block: the block; its parts are checked too, because scale norms and gates hide inside a known class.
        """
        parts = {path: qualified(module) for path, module in block.named_modules(remove_duplicate=False)}
        for part, known in self.part_types.items():
            found = parts.get(part, known[0])  # a known owner needs no part that it has not: a gated FFN may have two linears for one
            if found not in known:
                raise InputError(
                    f'{type(self).__name__}: block {index} of {self.name} has a {part or "type"} of {found}, which this view cannot run. '
                    f'Known: {", ".join(known)}. A new kind of host needs a view of its own in mmsparse/models/hosts/views.'
                )


def mean_of_patches(t: Tokens) -> Tensor:
    """Mean over the patches behind the valid rows: each row after the prefix counts as often as patches were merged into it. B×C."""
    x_bnc = t.x_bnc[:, t.prefix :]
    shares = [value_bn[:, t.prefix :] for value_bn in (t.size_bn, t.mask_bn) if value_bn is not None]
    if not shares:
        return x_bnc.mean(1)
    share_bn1 = math.prod(shares).unsqueeze(-1)
    mean_bc = (x_bnc * share_bn1).sum(1) / share_bn1.sum(1).clamp(min=1)  # an image all of whose patches are masked has a mean of zero
    return mean_bc.to(x_bnc.dtype)


def resolve(model: nn.Module) -> View:
    """Return the view of a model that the caller has built.

    Raises:
        InputError: no view knows this type of model.
    """
    for view in View.__subclasses__():
        if qualified(model) in view.model_types:
            return view(model)
    known = sorted(name for view in View.__subclasses__() for name in view.model_types)
    raise InputError(
        f'received a host of type {qualified(model)}, which no view knows. Known: {", ".join(known)}. Use one of these, such as '
        "dict(type='mmsparse.TimmViT', name='vit_base_patch16_224'), or write a view: CONTRIBUTING.md, Add a host."
    )
