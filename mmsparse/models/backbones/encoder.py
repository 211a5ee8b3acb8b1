"""The only block loop: any host through its view, adapters at named sites, sparsifiers between the branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.backbones.acting_parts import ActingParts
from mmsparse.models.backbones.memory import Memory, again
from mmsparse.models.backbones.readout import BaseReadout
from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.ops.attention import Probe, attend
from mmsparse.models.ops.ffn_rows import put, take
from mmsparse.structures import Tokens, settle, unpack


class Encoder(nn.Module):
    """Runs a host's blocks. It owns no parameters and knows no parts: who calls it hands them in, and a forward
    pre-hook may exchange them.

    Args:
        view: where the host keeps its parts.
        stash: remember the tokens that leave, for `restore`.
        with_cp: keep only what enters a block for the backward pass, and compute the block again there
            (torch.utils.checkpoint).
        memory: what runs the halves of a block, as its setting says.
    """

    def __init__(self, view: View, stash: bool = False, with_cp: bool = False, memory: str | None = None):
        super().__init__()
        self.view, self.stash, self.with_cp, self.memory = view, stash, with_cp, Memory(memory)
        self.biased, self.turning = (getattr(type(view), name) is not getattr(View, name) for name in ('bias', 'turn'))

    def forward(
        self,
        images: Tensor,
        out_layers: Sequence[int],
        *,
        adapters: Sequence[BaseAdapter] = (),
        sparsifiers: Sequence[BaseSparsifier] = (),
        readout: BaseReadout | None = None,
        class_row_only: bool = False,
        context: object = None,
    ) -> list[Tokens]:
        """Encode images.

        Args:
            images: B×3×H×W, normalised as the host expects; or clips, B×T×3×H×W, whose frames run as B·T images
                (`Tokens.frames`).
            out_layers: layers, counted from 1 and rising, whose tokens are wanted; the final norm follows the last
                block only.
            adapters: asked in order at every site.
            sparsifiers: asked in order at their stage, each on the tokens that the previous one left.
            readout: what comes between the last block of the view and the final norm, or None.
            class_row_only: compute the last block for the class token alone; exact for that token, and cheaper.
            context: of `Tokens`, for parts and the readout.

        Returns:
            One Tokens per wanted layer.
        """
        view, out, frames = self.view, [], 1
        if images.dim() == 5:
            frames, images = images.shape[1], images.flatten(0, 1)
        parts = ActingParts(adapters, sparsifiers, self.biased, self.memory if self.memory.acts else None)
        runs_again = self.with_cp and torch.is_grad_enabled() or self.memory.runs_again
        before = parts.held(len(images)) if runs_again else {}
        t = view.embed(
            images,
            lambda patches: parts.site('embed', 0, images, patches, None)[0] if 'embed' in parts.at else patches,
        )
        t = t.with_stash() if self.stash or parts.brings_back else t
        if parts.proportional or context is not None or frames > 1:
            t = replace(t, proportional=parts.proportional, context=context, frames=frames)
        for layer, block in zip(range(1, out_layers[-1] + 1), view.blocks):
            first_alone = class_row_only and layer == view.depth
            run = partial(self._block, layer, block, parts, first_alone)
            t = again(run, t) if self.with_cp and runs_again else run(t)
            if layer in out_layers:
                t = unpack(t)
            if layer == view.depth:
                t = self._finish(layer, t if readout is None else readout(t, t.context), parts)
            if layer in out_layers:
                out.append(t if layer == view.depth else settle(t, lambda x_bmc: x_bmc))
        for name in [name for key, name in parts.held(len(images)).items() if key not in before] if runs_again else ():
            asked = 'with_cp=True' if self.with_cp else f'memory={self.memory.setting!r}'
            raise InputError(
                f'{name} keeps tensors of a pass on itself; {asked} runs a block again in the backward pass and '
                'would find the last ones there. Return them from the site (SiteOutput: carry, a tensor per token, '
                f'or notes), or leave out {asked.split("=")[0]}.'
            )
        return out

    def _finish(self, layer: int, t: Tokens, parts: ActingParts) -> Tokens:
        """Norm the tokens, and in the same way those that left; then parts may make something of them."""

        def norm(x_bnc: Tensor) -> tuple[Tensor, Tokens]:
            y_bnc = self.view.norm(x_bnc)
            return parts.site('norm', layer, x_bnc, y_bnc, t) if 'norm' in parts.at else (y_bnc, t)

        t = settle(t if self.stash else replace(t, stash=None), lambda x_bmc: norm(x_bmc)[0])
        x_bnc, t = norm(t.x_bnc)
        t = replace(t, x_bnc=x_bnc)
        return parts.finish(t) if parts.finishing else t

    def _block(self, layer: int, block, parts: ActingParts, class_row_only: bool, t: Tokens) -> Tokens:
        """Run one pre-norm block: attention, reduction, FFN (Sparse-Tuning, fig. 2)."""
        block = parts.with_weights(self.view, layer) if parts.weighing else block
        run = partial(self._reduced, layer, block, parts, class_row_only)
        t, ffn_bn = run(t) if parts.memory is None else parts.memory.attention(run, t, block, parts)
        return self._ffn(layer, block, t, parts, ffn_bn)

    def _reduced(
        self, layer: int, block, parts: ActingParts, class_row_only: bool, t: Tokens
    ) -> tuple[Tokens, Tensor | None]:
        """Run attention, with what comes before it and the reduction; return also the tokens that enter the FFN."""
        for adapter in parts.inserting:
            t = adapter.tokens(layer, t)
        if layer in parts.layers['before']:
            t, _ = parts.reduce('before', layer, t, None)
        if class_row_only:
            t = unpack(t)
        t, probe = self._attention(layer, block, t, parts, class_row_only)
        if layer in parts.layers['after'] and not class_row_only:  # the class token alone sees no other token again
            return parts.reduce('after', layer, t, probe)
        return t, None

    def _attention(
        self, layer: int, block, t: Tokens, parts: ActingParts, class_row_only: bool
    ) -> tuple[Tokens, Probe]:
        """Add the attention branch; return also what may be asked about it."""
        view, at, site, memory = self.view, parts.at, parts.site, parts.memory
        h_bnc = view.norm1(block, t.x_bnc) if memory is None else memory.make(view.norm1, block, t.x_bnc)
        h_bnc, t = site('norm1', layer, t.x_bnc, h_bnc, t) if 'norm1' in at else (h_bnc, t)
        hq_bnc = h_bnc[:, :1] if class_row_only else h_bnc
        q_bnc, k_bnc, v_bnc = view.qkv(block, hq_bnc, h_bnc)
        q_bnc, t = site('q', layer, hq_bnc, q_bnc, t) if 'q' in at else (q_bnc, t)
        k_bnc, t = site('k', layer, h_bnc, k_bnc, t) if 'k' in at else (k_bnc, t)
        v_bnc, t = site('v', layer, h_bnc, v_bnc, t) if 'v' in at else (v_bnc, t)
        q_bhqd, k_bhnd, v_bhnd = view.heads_of(block, q_bnc, k_bnc, v_bnc)
        if self.turning:
            q_bhqd, k_bhnd = view.turn(block, q_bhqd, t), view.turn(block, k_bhnd, t)
        bias = view.bias(block, t, q_bhqd.shape[2]) if self.biased else None
        operator = attend if memory is None else memory.attend(parts, block)
        scale, dropout = view.scale(block), view.attention_dropout(block)
        o_bnc, probe = parts.attend(operator, layer, q_bhqd, k_bhnd, v_bhnd, scale, dropout, bias, t)
        t = t.first_row() if class_row_only else t
        if 'attended' in at:
            o_bnc, t = site('attended', layer, q_bhqd.transpose(1, 2).flatten(2), o_bnc, t)
        o_bnc = view.attended(block, o_bnc)
        y_bnc = view.proj(block, o_bnc)
        y_bnc, t = site('proj', layer, o_bnc, y_bnc, t) if 'proj' in at else (y_bnc, t)
        y_bnc = view.attention_branch(block, y_bnc)
        y_bnc, t = site('attn', layer, hq_bnc, y_bnc, t) if 'attn' in at else (y_bnc, t)
        return replace(t, x_bnc=t.x_bnc + y_bnc), probe

    def _ffn(self, layer: int, block, t: Tokens, parts: ActingParts, ffn_bn: Tensor | None) -> Tokens:
        """Add the FFN's branch, whose linears run on the tokens in ffn_bn (None: all)."""
        view, at, site = self.view, parts.at, parts.site
        run = partial(self._linears, layer, block, parts, ffn_bn)
        if parts.memory is None:
            h_bnc, y_bnc, t = run(t)
        else:
            h_bnc, y_bnc, t = parts.memory.ffn(run, t, block, parts, chosen=ffn_bn is not None)
        y_bnc = view.mlp_branch(block, y_bnc)
        y_bnc = y_bnc if ffn_bn is None else put(y_bnc, t.x_bnc, ffn_bn)
        y_bnc, t = site('mlp', layer, h_bnc, y_bnc, t) if 'mlp' in at else (y_bnc, t)
        y_bnc = t.x_bnc + y_bnc
        y_bnc, t = site('block', layer, t.x_bnc, y_bnc, t) if 'block' in at else (y_bnc, t)
        return replace(t, x_bnc=y_bnc)

    def _linears(
        self, layer: int, block, parts: ActingParts, ffn_bn: Tensor | None, t: Tokens
    ) -> tuple[Tensor, Tensor, Tokens]:
        """Run norm2, the two linears of the FFN and what lies between them; return also what the norm gave."""
        view, at, site, memory = self.view, parts.at, parts.site, parts.memory
        x_bnc = t.x_bnc if ffn_bn is None or parts.reads_input else take(t.x_bnc, ffn_bn)
        h_bnc = view.norm2(block, x_bnc) if memory is None else memory.make(view.norm2, block, x_bnc)
        h_bnc, t = site('norm2', layer, x_bnc, h_bnc, t) if 'norm2' in at else (h_bnc, t)
        in_bnc = take(h_bnc, ffn_bn) if ffn_bn is not None and parts.reads_input else h_bnc
        z_bnc = view.fc1(block, in_bnc)
        z_bnc, t = site('fc1', layer, in_bnc, z_bnc, t) if 'fc1' in at else (z_bnc, t)
        z_bnc = view.activation(block, z_bnc) if memory is None else memory.make(view.activation, block, z_bnc)
        y_bnc = view.fc2(block, z_bnc)
        y_bnc, t = site('fc2', layer, z_bnc, y_bnc, t) if 'fc2' in at else (y_bnc, t)
        return h_bnc, y_bnc, t


@contextmanager
def exchanged(encoder: Encoder, change: Callable[[dict], dict]) -> Iterator[None]:
    """Call an encoder with other parts than its owner hands in, for as long as the context lasts.

    Args:
        encoder: of a SparseViT, wherever that stands in a model.
        change: gets the keyword arguments of a call and returns those that it is made with.
    """
    hook = encoder.register_forward_pre_hook(lambda module, args, kwargs: (args, change(kwargs)), with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
