"""The narrow form of ReLU bottlenecks beside the FFN: what they carry is as wide as their hidden layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.part import SiteOutput
from mmsparse.structures import Tokens, of_neighbours


def beside(t: Tokens, value_bnd: Tensor, step: int) -> Tensor:
    """Return for each token what another frame of its clip has at the same place (`of_neighbours`).

    Raises:
        InputError: images, or clips of one frame.
    """
    if t.frames * t.joined == 1:
        raise InputError(
            'DenseAdapter: cross_frame=True reads the frames before and after, and received images, or clips of one '
            "frame. Use type='mmsparse.VideoClassifier' for the model, or leave cross_frame out."
        )
    return of_neighbours(t, value_bnd, step)


@dataclass(frozen=True)
class Link:
    """What a hidden layer reads of an earlier one.

    Args:
        key: of the earlier one in the carry.
        matrix_hg: h×g, from the earlier hidden layer to this one, float64.
        step: 0; or how many frames later the token stands whose value is read (`of_neighbours`).
    """

    key: str
    matrix_hg: Tensor
    step: int = 0


class NarrowLayer(nn.Module):
    """``hidden = ReLU(into · norm(x) + shift + Σ matrix · earlier hidden)`` and ``y + out · hidden``, of one block.

    Args:
        into_hc: h×C. A row of zeros with a shift of 1 makes a constant of `hidden`: the column of `out_ch` for a bias.
        shift_h: h.
        out_ch: C×h.
        links: to earlier layers.
        norm: of x, or None.
        like: whose type and device the tensors get.
    """

    def __init__(
        self,
        into_hc: Tensor,
        shift_h: Tensor,
        out_ch: Tensor,
        links: Sequence[Link],
        norm: nn.Module | None,
        like: Tensor,
    ):
        super().__init__()
        self.norm, self.links = norm, [(link.key, f'link_{at}', link.step) for at, link in enumerate(links)]
        tensors = dict(into_hc=into_hc, shift_h=shift_h, out_ch=out_ch)
        for name, value in {**tensors, **{f'link_{at}': link.matrix_hg for at, link in enumerate(links)}}.items():
            self.register_buffer(name, value.to(like), persistent=False)

    def forward(self, t: Tokens) -> Tensor:
        """Return the hidden layer, B×N×h."""
        z_bnh = F.linear(t.x_bnc if self.norm is None else self.norm(t.x_bnc), self.into_hc, self.shift_h)
        for key, name, step in self.links:
            read_bnh = F.linear(t.carry[key], getattr(self, name))
            z_bnh = z_bnh + (beside(t, read_bnh, step) if step else read_bnh)
        return z_bnh.relu()

    def add(self, y_bnc: Tensor, hidden_bnh: Tensor) -> Tensor:
        """Return the FFN's output with this layer's added."""
        if y_bnc.dtype != hidden_bnh.dtype:  # under autocast, where a layer scale widens the one
            return y_bnc + F.linear(hidden_bnh, self.out_ch)
        return torch.addmm(y_bnc.flatten(0, 1), hidden_bnh.flatten(0, 1), self.out_ch.t()).view(y_bnc.shape)


class NarrowBranch(BaseAdapter):
    """A bottleneck beside each FFN whose affine maps are folded into each other, for testing.

    A later layer reads ``S · out · hidden`` of an earlier one, S the reductions since. Maps of channels and reductions
    of tokens commute: what rides in the carry is `hidden`, and ``matrix = down · out`` is folded once. Where a plan's
    shares do not sum to one, a constant among the hidden channels carries their sum to the bias.

    Args:
        layers: one per block.
        kept: by layer, counted from 1, the key under which its hidden layer is carried, where a later one reads it.
        unread: by layer, the keys that nobody reads after it.
    """

    sites, reads_input = ('mlp',), False
    token_wise = True  # across frames, where nothing is packed, it is not

    def __init__(
        self,
        layers: Sequence[NarrowLayer],
        kept: Mapping[int, str] | None = None,
        unread: Mapping[int, Mapping[str, None]] | None = None,
    ):
        super().__init__()
        self.layers, self.kept, self.unread = nn.ModuleList(layers), dict(kept or {}), dict(unread or {})

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> SiteOutput:
        """Add this layer's output to the FFN's; leave its hidden layer for those that read it."""
        part = self.layers[layer - 1]
        hidden_bnh = part(t)
        carry = {self.kept[layer]: hidden_bnh} if layer in self.kept else {}
        return SiteOutput(part.add(y, hidden_bnh), carry | self.unread.get(layer, {}))
