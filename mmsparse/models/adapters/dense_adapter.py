"""Dense Adapter: a bottleneck beside each FFN that reads those of earlier layers too (Sparse-Tuning, 2405.14700)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.narrow_branch import Link, NarrowBranch, NarrowLayer, beside
from mmsparse.models.hosts.views.view import View
from mmsparse.models.part import SiteOutput
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import (
    check_choices,
    check_count,
    check_dropout,
    check_flag,
    check_positive,
    check_word,
)

INPUTS = ('x', 'prev', 'skip')
FUSIONS = ('inner', 'early', 'late')
NEIGHBOURS = {'before': -1, 'after': 1}  # frames


@MODELS.register_module()
class DenseAdapter(BaseAdapter):
    """The trainable part of Sparse-Tuning (sec. III-B, fig. 2 and 3), added to the FFN's output.

    With x_N the residual stream after attention and this layer's reduction, and S the reductions met since an earlier
    output was made:
    ``DA_N = scale · up(ReLU(down_x(x_N) + down_prev(S DA_{N-1}) + down_skip(S DA_{N-skip})))``.
    Earlier outputs ride in ``Tokens.carry``, so every plan reduces them. At initialisation the output is zero.

    Args:
        view: the host's view.
        bottleneck: hidden width d.
        scale: factor of the output.
        fusion: 'inner': one down-projection per input, summed (default); 'early': inputs summed, one bottleneck;
            'late': one bottleneck per input, outputs summed (Table VII).
        inputs: which of x_N ('x'), DA_{N-1} ('prev') and DA_{N-skip} ('skip') are read (Table VI); 'x' alone is
            AdaptFormer's form.
        skip: distance of the long link; it exists in layers N > skip.
        norm: None, or 'in': a LayerNorm on x_N.
        up_bias: bias of the up-projections. ``norm='in', up_bias=False`` gives the paper's exact parameter counts.
        dropout: probability, after the ReLU, in training.
        cross_frame: on clips, let each link also read what the frames before and after have of the same earlier layer
            (ours, after the paper's second item of future work). Each has a matrix of its own, which starts at zero:
            ``… + Σ_link before_link(T₋ S DA) + after_link(T₊ S DA)`` inside the ReLU, T the neighbour's output at the
            same place, a patch that has left read at the token that stands for it (`of_neighbours`).

    Raises:
        InputError: a value outside of these ranges and words; `cross_frame` without a link or with another fusion, or
            given images.
    """

    sites, reads_input = ('mlp',), False
    token_wise = True  # across frames, where nothing is packed, it is not
    _numbers = itertools.count()

    def __init__(
        self,
        view: View,
        bottleneck: int,
        scale: float = 1.0,
        fusion: str = 'inner',
        inputs: Sequence[str] = INPUTS,
        skip: int = 3,
        norm: str | None = None,
        up_bias: bool = True,
        dropout: float = 0.0,
        cross_frame: bool = False,
    ):
        super().__init__()
        check_count('DenseAdapter: received bottleneck', bottleneck, 32)
        check_word('DenseAdapter: received fusion', fusion, FUSIONS)
        check_positive('DenseAdapter: received scale', scale, 1.0)
        check_choices('DenseAdapter: received inputs', inputs, INPUTS, INPUTS)
        if 'x' not in inputs:
            raise InputError(f"DenseAdapter: received inputs={inputs!r}, expected 'x' and any of 'prev' and 'skip'.")
        check_count('DenseAdapter: received skip', skip, 3)
        check_word('DenseAdapter: received norm', norm, (None, 'in'))
        check_flag('DenseAdapter: received up_bias', up_bias)
        check_dropout('DenseAdapter', dropout)
        check_flag('DenseAdapter: received cross_frame', cross_frame)
        if cross_frame and (fusion != 'inner' or len(inputs) == 1):
            raise InputError(
                f'DenseAdapter: received cross_frame=True with fusion={fusion!r} and inputs={inputs!r}. It adds to '
                "the links' sum: use fusion='inner' and 'prev' or 'skip' among the inputs."
            )
        self.scale, self.fusion, self.cross_frame, self.up_bias = scale, fusion, cross_frame, up_bias
        self.distance = {name: distance for name, distance in (('prev', 1), ('skip', skip)) if name in inputs}
        layers = range(1, view.depth + 1)
        number = next(self._numbers)  # two in a list keep their histories apart
        self.carried = {layer: f'dense_adapter.{number}.{layer}' for layer in layers}
        readers = {
            layer: [layer + distance for distance in self.distance.values() if layer + distance in layers]
            for layer in layers
        }
        # What each layer is the last to read; its own output where nobody reads it.
        self.unread = {
            layer: {self.carried[old]: None for old in layers if max([old, *readers[old]]) == layer}
            for layer in layers
        }
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleDict()
        for layer in layers:
            names = ['x', *(name for name, distance in self.distance.items() if layer > distance)]
            part = nn.ModuleDict({'down': self._linears(names, view.width, bottleneck, fusion == 'early')})
            part['up'] = self._linears(names, bottleneck, view.width, fusion != 'late', bias=up_bias)
            if cross_frame:
                links = [f'{link}_{which}' for link in names[1:] for which in NEIGHBOURS]
                part['cross'] = self._linears(links, view.width, bottleneck, False, bias=False)
            if norm == 'in':
                part['norm'] = nn.LayerNorm(view.width, eps=1e-6)
            self.layers[str(layer)] = part
        self.reset_parameters()

    @staticmethod
    def _linears(names: Sequence[str], width_in: int, width_out: int, shared: bool, bias: bool = True) -> nn.Module:
        """Return one linear for all inputs, or one for each."""
        if shared:
            return nn.Linear(width_in, width_out, bias=bias)
        return nn.ModuleDict({name: nn.Linear(width_in, width_out, bias=bias) for name in names})

    def reset_parameters(self) -> None:
        """Draw the down-projections (Kaiming-uniform, a=√5) and zero the rest: the start is the host's function."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                if '.down' in name:
                    nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
                else:
                    nn.init.zeros_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> SiteOutput:
        """Add this layer's output to the FFN's, and leave it in the carry for the layers that read it."""
        inputs = {'x': t.x_bnc}
        for source, distance in self.distance.items():
            if layer > distance:
                inputs[source] = t.carry[self.carried[layer - distance]]
        part = self.layers[str(layer)]
        da_bnc = self._output(part, inputs, self._beside(part, inputs, t) if self.cross_frame else ())
        return SiteOutput(y + da_bnc, {self.carried[layer]: da_bnc} | self.unread[layer])

    @staticmethod
    def _beside(part: nn.ModuleDict, inputs: dict[str, Tensor], t: Tokens) -> list[Tensor]:
        """What comes from the frames before and after, B×N×d each; zeros for those that the clip does not have."""
        # projected first: what is moved is d wide
        return [
            beside(t, part['cross'][f'{link}_{which}'](inputs[link]), step)
            for link in inputs
            if link != 'x'
            for which, step in NEIGHBOURS.items()
        ]

    def for_testing(self) -> NarrowBranch:
        """Return it with a history of width d: down∘up of neighbouring layers is one matrix."""
        outs, layers = {}, []
        for layer in range(1, len(self.layers) + 1):
            earlier = {name: layer - distance for name, distance in self.distance.items() if layer > distance}
            read = {name: (self.carried[old], outs[old]) for name, old in earlier.items()}
            outs[layer] = self._out_of(self.layers[str(layer)])
            layers.append(self._narrow(self.layers[str(layer)], outs[layer], read))
        kept = {layer: key for layer, key in self.carried.items() if key not in self.unread[layer]}
        return NarrowBranch(layers, kept, self.unread)

    def _out_of(self, part: nn.ModuleDict) -> Tensor:
        """Return the matrix that makes a layer's output of its hidden channels, C×h; the last is 1 where
        up-projections have biases."""
        ups = list(part['up'].values()) if self.fusion == 'late' else [part['up']]
        columns = [up.weight for up in ups]
        columns += [] if ups[0].bias is None else [sum(up.bias for up in ups).unsqueeze(1)]
        return self.scale * _exact(torch.cat(columns, dim=1))

    def _narrow(self, part: nn.ModuleDict, out_ch: Tensor, read: dict[str, tuple[str, Tensor]]) -> NarrowLayer:
        """Return a layer with its affine maps folded.

        Args:
            part: the layer.
            out_ch: of this layer, `_out_of`.
            read: by link, the key and the `_out_of` of the earlier layer.
        """
        names = ['x', *read]
        downs = {name: part['down'] if self.fusion == 'early' else part['down'][name] for name in names}
        first = {name: place * len(downs[name].weight) for place, name in enumerate(names)}  # late: one behind another
        first = first if self.fusion == 'late' else dict.fromkeys(names, 0)

        def among_hidden(rows: Tensor, name: str) -> Tensor:
            """The rows of one input's bottleneck, zeros for all other hidden channels."""
            whole = out_ch.new_zeros(out_ch.shape[1], *rows.shape[1:])
            whole[first[name] : first[name] + len(rows)] = rows
            return whole

        own = {down: name for name, down in downs.items()}  # the shared one of early fusion has its bias once
        shift_h = sum(among_hidden(down.bias, name) for down, name in own.items())
        if self.up_bias:
            shift_h[-1] = 1
        links = [Link(key, among_hidden(downs[name].weight, name) @ old_ch) for name, (key, old_ch) in read.items()]
        if self.cross_frame:
            links += [
                Link(key, among_hidden(part['cross'][f'{name}_{which}'].weight, name) @ old_ch, step)
                for name, (key, old_ch) in read.items()
                for which, step in NEIGHBOURS.items()
            ]
        like = downs['x'].weight
        return NarrowLayer(among_hidden(like, 'x'), shift_h, out_ch, links, getattr(part, 'norm', None), like)

    def _output(self, part: nn.ModuleDict, inputs: dict[str, Tensor], beside: Sequence[Tensor]) -> Tensor:
        down, up = part['down'], part['up']
        if 'norm' in part:
            inputs = inputs | {'x': part['norm'](inputs['x'])}
        if self.fusion == 'late':
            bottlenecks = {name: torch.relu(down[name](value)) for name, value in inputs.items()}
            return sum([up[name](self.dropout(z_bnd)) for name, z_bnd in bottlenecks.items()]) * self.scale
        if self.fusion == 'early':
            z_bnd = down(sum(inputs.values()))
        else:
            z_bnd = down['x'](inputs['x'])
            for name in self.distance:
                z_bnd = z_bnd + down[name](inputs[name]) if name in inputs else z_bnd
            z_bnd = sum(beside, z_bnd)
        return up(self.dropout(torch.relu(z_bnd))) * self.scale


def _exact(weight: Tensor) -> Tensor:
    """Return it in float64 where it is folded for good; a training step keeps what it multiplies."""
    return weight if torch.is_grad_enabled() else weight.double()
