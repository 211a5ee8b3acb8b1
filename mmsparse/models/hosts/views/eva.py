"""timm's Eva family: rotary (DINOv3, EVA-02, RoPE-Mixed) or learned positions, plain or gated FFNs, shared keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from mmsparse.models.hosts.views.biases_apart import BiasesApart
from mmsparse.models.hosts.views.host_parts import QKV
from mmsparse.models.hosts.views.projections import split_heads
from mmsparse.models.hosts.views.rotary import carry_phases, carry_places, turned, turned_by_place
from mmsparse.models.hosts.views.timm_parts import EVA_POST, FFN, TimmParts
from mmsparse.structures import Tokens

MIXED = 'RotaryEmbeddingMixed'
KNOWN_ROPE = ('RotaryEmbeddingCat', 'RotaryEmbeddingDinoV3', MIXED)


class EvaView(BiasesApart, TimmParts):
    """A ``timm.models.eva.Eva``, its norms before the branches or behind them."""

    model_types = ('timm.models.eva.Eva',)
    part_types = {
        '': ('timm.models.eva.EvaBlock', EVA_POST),
        'attn': ('timm.models.eva.EvaAttention', 'timm.layers.attention.AttentionRope'),
    } | FFN
    chains = dict(
        attention_branch=('attn.proj_drop', 'gamma_1', 'drop_path1'),
        mlp_branch=('mlp.drop2', 'gamma_2', 'drop_path2'),
    )

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        if self.blocks[0].attn.qkv is None:
            self.parts = self.without('qkv') | {key: f'attn.{key}_proj' for key in QKV}

    def host_faults(self) -> Iterator[str]:
        yield from super().host_faults()
        rope = self.host.rope
        if rope is not None and (kind := type(rope).__name__) not in KNOWN_ROPE:
            yield f'its rotary positions are {kind}. Known: {", ".join(KNOWN_ROPE)}.'
        elif self.mixed and rope.aug_active:
            yield 'its mixed rotary positions are moved in training. Leave out rope_shift_coords and its like.'

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        if block.attn.gate is not None:
            yield 'gates its attention'

    def embed(self, images: Tensor, site: Callable[[Tensor], Tensor]) -> Tokens:
        grid = self.grid_of(images)
        x_bnc, phase_nd = self.host._pos_embed(site(self.host.patch_embed(images)))
        t = Tokens.start(self.host.norm_pre(x_bnc), self.prefix, grid)
        if phase_nd is None:
            return t
        if not self.mixed:
            return carry_phases(t, *phase_nd.chunk(2, dim=-1))
        from timm.layers.pos_embed_sincos import get_mixed_grid

        places = get_mixed_grid(grid, self.host.rope.grid_indexing, x_bnc.device)
        return carry_places(t, torch.stack(places, dim=-1))

    @property
    def mixed(self) -> bool:
        """Whether rotary positions differ from layer to layer and head to head."""
        return type(self.host.rope).__name__ == MIXED

    def heads_of(self, block: nn.Module, q_bnc: Tensor, k_bnc: Tensor, v_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As for every host, but several heads may share keys and values: each gets them (sapiens2)."""
        if (groups := getattr(block.attn, 'num_kv_groups', 1)) == 1:
            return super().heads_of(block, q_bnc, k_bnc, v_bnc)
        k_bhnd, v_bhnd = (split_heads(x_bnc, self.heads // groups) for x_bnc in (k_bnc, v_bnc))
        q_bhnd, k_bhnd = block.attn.q_norm(split_heads(q_bnc, self.heads)), block.attn.k_norm(k_bhnd)
        return q_bhnd, k_bhnd.repeat_interleave(groups, 1), v_bhnd.repeat_interleave(groups, 1)

    def turn(self, block: nn.Module, x_bhnd: Tensor, t: Tokens) -> Tensor:
        if self.mixed:
            layer = next(index for index, own in enumerate(self.blocks) if own is block)
            return turned_by_place(x_bhnd, t, self.host.rope.freqs[:, layer])
        return turned(x_bhnd, t, block.attn.rotate_half)
