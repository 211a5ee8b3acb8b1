"""The tokens of a batch between two operators, and where each came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from mmsparse.structures.stash import Settled, Stash

# What a pass remembers is read only: a part that wrote into tokens it is shown would change them for layers that have
# run, and twice where a block runs again for its backward pass.
NOTHING = MappingProxyType({})


@dataclass(frozen=True)
class Tokens:
    """The sequence of a batch: N tokens per image of width C (embed_dim), prefix tokens first, then patch tokens.

    Args:
        x_bnc: B×N×C.
        prefix: number of prefix tokens (class token, registers, prompts), which are never reduced.
        grid: patch grid (h, w) of the image; m = h·w patches (of a joined clip T·m, frame by frame).
        source_bm: B×m, the place of the token that now stands for each original patch; -1 if the patch was dropped.
        size_bn: B×N, patches behind a token, 1 for prefix tokens; None while nothing has been reduced (all ones).
        mask_bn: B×N, float validity of tokens, 1 or 0; may carry gradient (DynamicViT's training). None: all are
            valid. Attention, scores, pooling and losses honour it.
        carry: tensors B×N×c that every plan moves with the tokens, such as the Dense Adapter's history.
        notes: what parts write down in this pass, for their losses and reports; shapes are theirs.
        stash: patch tokens that left, kept only on request.
        spans: how many prefix tokens adapters have put behind the host's own, by the name of each span (`put_prefix`);
            they lie in this order.
        proportional: whether a token that stands for s patches counts as s keys in attention (ToMe).
        context: what the caller of `forward_tokens` handed in for this batch, or None; nothing moves it.
        frames: so many neighbours in the batch are the frames of one clip, in their order; 1: images, or clips whose
            frames have become one sequence (`join_frames`).
    """

    x_bnc: Tensor
    prefix: int
    grid: tuple[int, int]
    source_bm: Tensor
    size_bn: Tensor | None = None
    mask_bn: Tensor | None = None
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    stash: Stash | Settled | None = None
    spans: Mapping[str, int] = field(default_factory=dict)
    proportional: bool = False
    context: object = None
    frames: int = 1

    @classmethod
    def start(cls, x_bnc: Tensor, prefix: int, grid: tuple[int, int]) -> Tokens:
        """Return the sequence of a fresh image: patch m is token prefix + m."""
        place_m = torch.arange(prefix, x_bnc.shape[1], device=x_bnc.device)
        return cls(
            x_bnc, prefix, grid, place_m.expand(x_bnc.shape[0], -1), carry=NOTHING, notes=NOTHING, spans=NOTHING
        )

    def with_stash(self) -> Tokens:
        """Return fresh tokens that will remember what leaves them."""
        x_bmc = self.x_bnc[:, self.prefix :]
        untouched_bm = torch.zeros_like(self.source_bm, dtype=torch.bool)
        return replace(self, stash=Stash(x_bmc, untouched_bm, torch.zeros_like(x_bmc)))

    @property
    def patches(self) -> int:
        """Number of patch tokens: what a sparsifier may reduce."""
        return self.x_bnc.shape[1] - self.prefix

    @property
    def joined(self) -> int:
        """Number of frames in one sequence: 1, or those of a clip whose frames are one (`join_frames`)."""
        return self.source_bm.shape[1] // math.prod(self.grid)

    @property
    def segments(self) -> tuple[int, ...]:
        """How many prefix tokens are the host's own, and how many belong to each span."""
        return self.prefix - sum(self.spans.values()), *self.spans.values()

    def span(self, name: str) -> slice:
        """Return the places of the prefix tokens of that name; none, right behind the prefix, where it has no span."""
        start = self.prefix - sum(self.spans.values())
        for each, count in self.spans.items():
            if each == name:
                return slice(start, start + count)
            start += count
        return slice(start, start)

    @property
    def sizes_bn(self) -> Tensor:
        """`size_bn`, also while nothing has been reduced: float32 or wider, because bfloat16 cannot count beyond
        256."""
        wide = torch.promote_types(self.x_bnc.dtype, torch.float32)
        return torch.ones_like(self.x_bnc[..., 0], dtype=wide) if self.size_bn is None else self.size_bn

    def first_row(self) -> Tokens:
        """Return the class token alone; every patch counts as gone."""
        return replace(
            self,
            x_bnc=self.x_bnc[:, :1],
            prefix=1,
            source_bm=torch.full_like(self.source_bm, -1),
            size_bn=None,
            mask_bn=None,
            carry=MappingProxyType({key: value[:, :1] for key, value in self.carry.items()}),
            stash=None,
            spans=MappingProxyType({}),
        )


def present(tokens: Tokens) -> Tensor:
    """Return B×m, whether a valid token stands for each original patch."""
    if tokens.mask_bn is None:
        return tokens.source_bm >= 0
    return (tokens.source_bm >= 0) & (tokens.mask_bn.gather(1, tokens.source_bm.clamp(min=0)) > 0)


def rows_of(tokens: Tokens) -> Tensor:
    """Return B×m×C, for each original patch the token that stands for it; zeros where it was dropped."""
    source_bm1 = tokens.source_bm.unsqueeze(-1)
    x_bmc = tokens.x_bnc.gather(1, source_bm1.clamp(min=0).expand(-1, -1, tokens.x_bnc.shape[2]))
    return x_bmc.masked_fill(~present(tokens).unsqueeze(-1), 0.0)


def put_prefix(tokens: Tokens, span: str, rows_bpc: Tensor) -> Tokens:
    """Let p prefix tokens be the span of that name, in the place of those that it had; none may be.

    A new span lies behind the host's own prefix tokens and all other spans. The tokens are valid, of size 1, and carry
    nothing. In the one sequence of a clip every frame has its own.
    """
    if tokens.joined > 1:
        rows_bpc = rows_bpc.repeat(1, tokens.joined, 1)
    at, old, new = tokens.span(span).start, tokens.spans.get(span, 0), rows_bpc.shape[1]

    def put(value: Tensor, fill: float) -> Tensor:
        rows = value.new_full((len(value), new, *value.shape[2:]), fill) if value is not tokens.x_bnc else rows_bpc
        return torch.cat([value[:, :at], rows, value[:, at + old :]], dim=1)

    return replace(
        tokens,
        x_bnc=put(tokens.x_bnc, 0),
        prefix=tokens.prefix + new - old,
        spans=MappingProxyType({**tokens.spans, span: new}),
        source_bm=torch.where(tokens.source_bm < 0, -1, tokens.source_bm + new - old),
        size_bn=None if tokens.size_bn is None else put(tokens.size_bn, 1),
        mask_bn=None if tokens.mask_bn is None else put(tokens.mask_bn, 1),
        carry=MappingProxyType({key: put(value, 0) for key, value in tokens.carry.items()}),
    )
