"""The only block loop of the package: any host through its view, adapters at named sites, sparsifiers between the branches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from mmsparse.tokens import Tokens, reduce

from .adapters.base import BaseAdapter
from .attention import Probe, attend
from .necks.base import BaseSparsifier
from .views.base import View


class Encoder:
    """Runs a host's blocks. It owns no parameters: those stay in the host, the adapters and the sparsifiers.

    Args:
        view: where the host keeps its parts.
        adapters: asked in order at every site.
        sparsifiers: asked in order at their stage, each on the tokens that the previous one left.
    """

    def __init__(self, view: View, adapters: Sequence[BaseAdapter], sparsifiers: Sequence[BaseSparsifier]):
        self.view, self.adapters, self.sparsifiers = view, adapters, sparsifiers

    def __call__(self, images: Tensor, out_layers: Sequence[int], sparsify: bool = True, class_row_only: bool = False) -> list[Tokens]:
        """Encode images.

        Args:
            images: B×3×H×W, normalised as the host expects.
            out_layers: layers, counted from 1 and rising, whose tokens are wanted; the final norm follows the last block only.
            sparsify: False runs the adapters on all rows (a reference, or a teacher).
            class_row_only: compute the last block for the class token alone; exact for that row, and cheaper.

        Returns:
            One Tokens per wanted layer.
        """
        view, out = self.view, []
        t = view.embed(images, lambda patches: self._site('embed', 0, images, patches, None))
        for layer, block in enumerate(view.blocks, start=1):
            t = self._block(layer, block, t, sparsify, class_row_only and layer == view.depth)
            if layer == view.depth:
                t = replace(t, x_bnc=self._site('norm', layer, t.x_bnc, view.norm(t.x_bnc), t))
            if layer in out_layers:
                out.append(t)
        return out

    def _block(self, layer: int, block, t: Tokens, sparsify: bool, class_row_only: bool) -> Tokens:
        """Run one pre-norm block: attention, reduction, FFN (Sparse-Tuning, fig. 2)."""
        view, site = self.view, self._site
        for adapter in self.adapters:
            t = adapter.tokens(layer, t)
        t = replace(t, carry=dict(t.carry))  # a site writes to this layer's copy: the tokens handed out earlier stay as they were
        t = self._reduce('before', layer, t, None, sparsify)

        h_bnc = site('norm1', layer, t.x_bnc, view.norm1(block, t.x_bnc), t)
        hq_bnc = h_bnc[:, :1] if class_row_only else h_bnc
        q_bnc, k_bnc, v_bnc = view.qkv(block, hq_bnc, h_bnc)
        q_bnc = site('q', layer, hq_bnc, q_bnc, t)
        k_bnc = site('k', layer, h_bnc, k_bnc, t)
        v_bnc = site('v', layer, h_bnc, v_bnc, t)
        q_bhnd, k_bhnd, v_bhnd = view.heads_of(block, q_bnc, k_bnc, v_bnc)
        o_bnc = attend(q_bhnd, k_bhnd, v_bhnd, view.scale(block), view.attention_dropout(block))
        if class_row_only:
            t, sparsify = t.first_row(), False  # no row is left to reduce, and the class token does not see the others again
        y_bnc = site('proj', layer, o_bnc, view.proj(block, o_bnc), t)
        y_bnc = site('attn', layer, h_bnc, view.attention_branch(block, y_bnc), t)
        t = replace(t, x_bnc=t.x_bnc + y_bnc)
        t = self._reduce('after', layer, t, Probe(q_bhnd, k_bhnd, view.scale(block)), sparsify)

        h_bnc = site('norm2', layer, t.x_bnc, view.norm2(block, t.x_bnc), t)
        z_bnc = view.activation(block, site('fc1', layer, h_bnc, view.fc1(block, h_bnc), t))
        y_bnc = site('fc2', layer, z_bnc, view.fc2(block, z_bnc), t)
        y_bnc = site('mlp', layer, h_bnc, view.mlp_branch(block, y_bnc), t)
        x_bnc = t.x_bnc + y_bnc
        return replace(t, x_bnc=site('block', layer, t.x_bnc, x_bnc, t))

    def _site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        for adapter in self.adapters:
            y = adapter.site(name, layer, x, y, t)
        return y

    def _reduce(self, stage: str, layer: int, t: Tokens, probe: Probe | None, sparsify: bool) -> Tokens:
        for sparsifier in self.sparsifiers if sparsify else ():
            plan = sparsifier.plan(layer, t, probe) if sparsifier.stage == stage else None
            # A second sparsifier at the same stage may ask about attention only while the rows are still those that attended.
            t, probe = (t, probe) if plan is None else (reduce(t, plan), None)
        return t
