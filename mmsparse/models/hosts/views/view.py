"""How a host, the frozen ViT of another library, runs part by part, so that adapters and sparsifiers act in between.

The host itself stays untouched: a view calls its modules in the order of its own forward pass.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from operator import attrgetter
from types import MappingProxyType

from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.hosts.pixels import Pixels
from mmsparse.models.hosts.views.host_parts import QKV, Parts, qualified
from mmsparse.models.hosts.views.patch_grid import PatchGrid
from mmsparse.models.hosts.views.projections import fused_qkv, split_heads
from mmsparse.structures import Tokens


class View(Parts, PatchGrid, ABC):
    """How a host runs, one subclass per kind of host: each method runs the part of its name, for a block of the host.

    `resolve` finds a subclass once its module is imported. It names the parts, sets in the constructor what it knows
    of the host's geometry, and overrides what a path cannot say. Tensors are B×N×C, tokens of embed_dim C, unless
    said otherwise.

    Attributes:
        class_token: whether token 0 is a class token.
        prefix: number of prefix tokens (class token, registers).
        filed: parameters as they stand in the file of weights, as in `FrozenModel`.
        pixels: how the images that the weights were trained on were normalised; None: not known, or random weights.
    """

    filed: Mapping[str, Tensor] | None = MappingProxyType({})
    pixels: Pixels | None = None

    class_token: bool
    prefix: int

    @abstractmethod
    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        """Return the tokens that enter the first block.

        Args:
            images: B×3×H×W.
            site: to be called with the projected patches (B×m×C, or B×h×w×C), before class token and positions join
                them; what it returns goes on.
        """

    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        """Norm before attention, where the host has one there."""
        return attrgetter(self.parts['norm1'])(block)(x_bnc) if 'norm1' in self.parts else x_bnc

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of hq_bnc (B×Q×C), keys and values of h_bnc (B×N×C), heads side by side; of one tensor by one
        product where the host has one."""
        if 'qkv' in self.parts:
            return fused_qkv(attrgetter(self.parts['qkv'])(block), hq_bnc, h_bnc)
        q, k, v = attrgetter(*(self.parts[name] for name in QKV))(block)
        return q(hq_bnc), k(h_bnc), v(h_bnc)

    def values(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        """Return the values of h_bnc alone, for a readout that attends by something else."""
        return self.qkv(block, h_bnc[:, :0], h_bnc)[2]

    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split heads, B×N×C to B×H×N×d, and norm queries and keys where the host does."""
        q_bhnd, k_bhnd = split_heads(q_bnc, self.heads), split_heads(k_bnc, self.heads)
        if 'q_norm' in self.parts:
            q_norm, k_norm = attrgetter(self.parts['q_norm'], self.parts['k_norm'])(block)
            q_bhnd, k_bhnd = q_norm(q_bhnd), k_norm(k_bhnd)
        return q_bhnd, k_bhnd, split_heads(v_bnc, self.heads)

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        """Rotate queries or keys (B×H×N×d) of the first N tokens of `t`, where the host's positions are rotary."""
        return x_bhnd

    def scale(self, block: nn.Module) -> float:
        """Factor of the attention logits."""
        return attrgetter(self.parts['scale'])(block) if 'scale' in self.parts else (self.width // self.heads) ** -0.5

    def bias(self, block: nn.Module, t: Tokens, queries: int) -> Tensor | None:
        """Return what the host adds to the logits of attention, such as a table of relative positions.

        It follows the tokens (`bias_of_tokens`), and sparsifiers that read the attention read it with this.

        Args:
            block: of the host.
            t: the tokens that attend.
            queries: the first so many of them ask.

        Returns:
            Broadcast to B×H×queries×N, or None.
        """

    def attention_dropout(self, block: nn.Module) -> float:
        """Probability of an attention weight to be dropped now (0 in evaluation)."""
        return attrgetter(self.parts['dropout'])(block) if block.training else 0.0

    def attended(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        """What lies between attention and its projection: nothing, or a norm (EVA-02's CLIP towers, BEiT-3)."""
        return attrgetter(self.parts['attended'])(block)(o_bnc) if 'attended' in self.parts else o_bnc

    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        """Output projection."""
        return attrgetter(self.parts['proj'])(block)(o_bnc)

    def attention_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        """What follows the projection: dropout, a norm, layer scale, drop-path."""
        for path in self.chains['attention_branch']:
            link = attrgetter(path)(block)
            y_bnc = link(y_bnc) if callable(link) else y_bnc if link is None else link * y_bnc
        return y_bnc

    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        """Norm before the FFN, where the host has one there."""
        return attrgetter(self.parts['norm2'])(block)(x_bnc) if 'norm2' in self.parts else x_bnc

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        """First linear of the FFN, B×N×h; of a gated one gate and value side by side, B×N×2h, in the host's order."""
        return attrgetter(self.parts['fc1'])(block)(h_bnc)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        """What lies between the two linears of the FFN: activation, gate, dropout, norm; to B×N×h."""
        for path in self.chains['activation']:
            z_bnc = attrgetter(path)(block)(z_bnc)
        return z_bnc

    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        """Second linear of the FFN."""
        return attrgetter(self.parts['fc2'])(block)(z_bnc)

    def mlp_branch(self, block: nn.Module, y_bnc: Tensor) -> Tensor:
        """What follows the second linear: dropout, a norm, layer scale, drop-path."""
        for path in self.chains['mlp_branch']:
            link = attrgetter(path)(block)
            y_bnc = link(y_bnc) if callable(link) else y_bnc if link is None else link * y_bnc
        return y_bnc

    def norm(self, x_bnc: Tensor) -> Tensor:
        """Final norm over all tokens, where the host has one."""
        return attrgetter(self.parts['norm'])(self.host)(x_bnc) if 'norm' in self.parts else x_bnc

    @abstractmethod
    def pooled(self, t: Tokens) -> Tensor:
        """The host's own pooling and what follows it, without its classifier: B×C."""

    def without_last(self) -> View:
        """Return the view of all blocks but the last, in whose place a readout runs."""
        shorter = copy(self)
        shorter.blocks, shorter.depth = self.blocks[:-1], self.depth - 1
        return shorter


def mean_of_patches(t: Tokens) -> Tensor:
    """Return the mean over the patch tokens, B×C: one counts for the patches merged in it, a masked one for none."""
    x_bnc = t.x_bnc[:, t.prefix :]
    shares = [value_bn[:, t.prefix :] for value_bn in (t.size_bn, t.mask_bn) if value_bn is not None]
    if not shares:
        return x_bnc.mean(1)
    share_bn1 = math.prod(shares).unsqueeze(-1)
    mean_bc = (x_bnc * share_bn1).sum(1) / share_bn1.sum(1).clamp(min=1)  # zero where all patches are masked
    return mean_bc.to(x_bnc.dtype)


def _views(base: type[View] = View) -> Iterator[type[View]]:
    for view in base.__subclasses__():
        yield view
        yield from _views(view)


def resolve(model: nn.Module) -> View:
    """Return the view of a model: of those that know its type the first that does not refuse it.

    Raises:
        InputError: no view knows this type of model, or each that does has refused it; the text says why.
    """
    kind, refused = qualified(model), []
    views = [view for view in _views() if kind in view.model_types]
    for view in [view for view in views if view.knows_blocks(model)] or views:
        try:
            return view(model)
        except InputError as error:
            refused.append(str(error))
    known = sorted({name for view in _views() for name in view.model_types})
    raise InputError(
        ' '.join(dict.fromkeys(refused))  # views that inherit a check refuse with the same words
        or f'received a host of type {kind}, which no view knows. Known: {", ".join(known)}. Use one of these, '
        "such as dict(type='mmsparse.TimmViT', name='vit_base_patch16_224'), or write a view: CONTRIBUTING.md, "
        'Add a host.'
    )
