"""Images of different lengths, packed: what works on single tokens then runs on no padding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from mmsparse.structures.tokens import NOTHING, Tokens

PAYS = 0.05  # share of padding from which packing pays


@dataclass(frozen=True, kw_only=True)
class PackedTokens(Tokens):
    """The valid tokens of a batch as one sequence, 1×R×C, image by image; `carry` likewise.

    It has no prefix and no patches: whoever asks for those gets the batch from `unpack`.

    Args:
        origin: the padded batch as it was packed, without its tokens and their carry.
        place_r: R, the place of each token among the B·N of the batch.
        row_bn: B×N, the token that stands at each place; any at those of padding.
    """

    origin: Tokens
    place_r: Tensor
    row_bn: Tensor

    @property
    def joined(self) -> int:
        """No frames."""
        return 1

    def spread(self, value_1rc: Tensor) -> Tensor:
        """Bring 1×R×… to the batch, B×N×…; what lies in the padding is of another token."""
        # ten times as fast as indexing by a matrix, on a CPU
        return value_1rc[0].index_select(0, self.row_bn.flatten()).unflatten(0, self.row_bn.shape)

    def gathered(self, value_bnc: Tensor) -> Tensor:
        """Return 1×R×… of what the batch has, B×N×…."""
        return _rows(value_bnc, self.place_r)


def worth_packing(tokens: Tokens) -> bool:
    """Tell whether a batch has so much padding that packing it costs less.

    Not where its mask has a gradient (a masked token is no padding), frames belong together, or the length of a
    sequence may not depend on the data.
    """
    mask_bn, x_bnc = tokens.mask_bn, tokens.x_bnc
    if mask_bn is None or mask_bn.requires_grad or tokens.size_bn is None or tokens.frames * tokens.joined > 1:
        return False
    if len(x_bnc) == 1 or x_bnc.is_meta or torch.compiler.is_compiling():
        return False
    padding_bn = (mask_bn <= 0) & (tokens.size_bn == 0)
    masked = (mask_bn <= 0).sum() - padding_bn.sum()
    return not masked and int(padding_bn.sum()) > PAYS * padding_bn.numel()


def pack(tokens: Tokens) -> Tokens:
    """Return the valid tokens of a padded batch as one sequence."""
    valid_k = (tokens.mask_bn > 0).flatten()
    place_r = valid_k.nonzero().squeeze(1)
    row_bn = (valid_k.cumsum(0) - 1).clamp(min=0).view(tokens.mask_bn.shape)
    x_bnc = tokens.x_bnc
    return PackedTokens(
        x_bnc=_rows(x_bnc, place_r),
        prefix=0,
        grid=tokens.grid,
        source_bm=tokens.source_bm[:1, :0],
        carry=MappingProxyType({key: _rows(value, place_r) for key, value in tokens.carry.items()}),
        notes=tokens.notes,
        proportional=tokens.proportional,
        context=tokens.context,
        origin=replace(tokens, x_bnc=x_bnc[:, :, :0], carry=NOTHING),
        place_r=place_r,
        row_bn=row_bn,
    )


def unpack(tokens: Tokens) -> Tokens:
    """Return the padded batch; tokens that are not packed as they are. What lies in the padding is of other tokens."""
    if not isinstance(tokens, PackedTokens):
        return tokens
    carry = MappingProxyType({key: tokens.spread(value) for key, value in tokens.carry.items()})
    return replace(tokens.origin, x_bnc=tokens.spread(tokens.x_bnc), carry=carry, notes=tokens.notes)


def _rows(value_bnc: Tensor, place_r: Tensor) -> Tensor:
    return value_bnc.flatten(0, 1).index_select(0, place_r).unsqueeze(0)
