"""timm's ViTs with branches side by side (Touvron et al., 2022, arXiv 2203.09795, sec. 3): 18x2."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.branches import Readers, Writers
from mmsparse.models.hosts.views.host_parts import IDENTITY, LINEAR, QKV, qualified
from mmsparse.models.hosts.views.operators import Operator
from mmsparse.models.hosts.views.projections import fused_qkv
from mmsparse.models.hosts.views.timm import SCALE, TimmView
from mmsparse.models.hosts.views.timm_parts import PLAIN, TimmParts

INSIDE = {  # of a branch
    'attn': ('timm.layers.attention.Attention',),
    'attn.q_norm': (IDENTITY,),
    'attn.norm': (IDENTITY,),
    'attn.qkv': (LINEAR,),
    'attn.proj': (LINEAR,),
    'mlp': (PLAIN,),
    'mlp.fc1': (LINEAR,),
    'mlp.fc2': (LINEAR,),
    'mlp.norm': (IDENTITY,),
    'norm': ('timm.layers.norm.LayerNorm',),
    'ls': SCALE,
}


class ParallelView(TimmParts):
    """A ``timm.models.vision_transformer.VisionTransformer`` of ``ParallelThingsBlock``.

    All attention branches of a block are one attention with the heads of all, all FFNs one wide FFN; norm1 and norm2
    give the normed tokens without scale and shift, which each branch applies for itself, and proj and fc2 the sum of
    the branches, after layer scale and drop-path. Of those norms the parameters are read, and the modules not called.
    """

    model_types = TimmView.model_types
    part_types = {'': ('timm.models.vision_transformer.ParallelThingsBlock',)}
    parts = {key: TimmParts.parts[key] for key in ('blocks', 'embed', 'norm')} | dict(
        heads='attns.0.attn.num_heads', dropout='attns.0.attn.attn_drop.p', scale='attns.0.attn.scale'
    )
    chains = dict(attention_branch=(), mlp_branch=())
    embed = TimmView.embed

    def __init__(self, host: nn.Module, name: str | None = None, source: str = 'as given'):
        super().__init__(host, name, source)
        self.heads *= len(self.blocks[0].attns)

    def block_faults(self, block: nn.Module) -> Iterator[str]:
        yield from super().block_faults(block)
        for branch in (*block.attns, *block.ffns):
            found = {path: qualified(module) for path, module in branch.named_modules()}
            for path, known in INSIDE.items():
                if found.get(path, known[0]) not in known:
                    yield f'has a branch with a {path} of {found[path]} (known: {", ".join(known)})'
            if getattr(getattr(branch, 'attn', None), 'gate', None) is not None:
                yield 'gates its attention'
            if any(module.bias is None for module in branch.modules() if isinstance(module, nn.Linear | nn.LayerNorm)):
                yield 'has a branch without biases'

        if len({branch.norm.eps for branch in (*block.attns, *block.ffns)}) > 1:
            yield 'has norms of several eps'

    def norm1(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return F.layer_norm(x_bnc, x_bnc.shape[-1:], eps=block.attns[0].norm.eps)

    def qkv(self, block: nn.Module, hq_bnc: Tensor, h_bnc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = []
        for branch in block.attns:
            own_bnc = _affine(branch.norm, h_bnc)
            asking_bnc = own_bnc if hq_bnc is h_bnc else _affine(branch.norm, hq_bnc)
            found.append(fused_qkv(branch.attn.qkv, asking_bnc, own_bnc))
        return tuple(torch.cat(parts, dim=-1) for parts in zip(*found))

    def proj(self, block: nn.Module, o_bnc: Tensor) -> Tensor:
        pairs = zip(block.attns, o_bnc.chunk(len(block.attns), dim=-1))
        return sum(one.drop_path(one.ls(one.attn.proj_drop(one.attn.proj(own)))) for one, own in pairs)

    def norm2(self, block: nn.Module, x_bnc: Tensor) -> Tensor:
        return F.layer_norm(x_bnc, x_bnc.shape[-1:], eps=block.ffns[0].norm.eps)

    def fc1(self, block: nn.Module, h_bnc: Tensor) -> Tensor:
        return torch.cat([one.mlp.fc1(_affine(one.norm, h_bnc)) for one in block.ffns], dim=-1)

    def activation(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        pairs = zip(block.ffns, z_bnc.chunk(len(block.ffns), dim=-1))
        return torch.cat([one.mlp.drop1(one.mlp.act(own)) for one, own in pairs], dim=-1)

    def fc2(self, block: nn.Module, z_bnc: Tensor) -> Tensor:
        pairs = zip(block.ffns, z_bnc.chunk(len(block.ffns), dim=-1))
        return sum(one.drop_path(one.ls(one.mlp.drop2(one.mlp.fc2(own)))) for one, own in pairs)

    def operator(self, layer: int, name: str) -> Operator | Readers | Writers | None:
        """As for every host, but those of the branches are one; norm1 and norm2 have no weights here."""
        if name in ('embed', 'norm'):
            return super().operator(layer, name)
        if name in ('norm1', 'norm2'):
            return None
        block, what = self.blocks[layer - 1], f'{name} of layer {layer}'
        branches = block.attns if name in (*QKV, 'proj') else block.ffns
        path = {'proj': 'attn.proj', 'fc1': 'mlp.fc1', 'fc2': 'mlp.fc2'}.get(name, 'attn.qkv')
        linears, norms = (tuple(self.operator_at(one, at, what) for one in branches) for at in (path, 'norm'))
        if name in ('proj', 'fc2'):
            return Writers(linears, tuple(_scale(one.ls) for one in branches))
        first = QKV.index(name) * self.width if name in QKV else 0
        return Readers(linears, norms, slice(first, first + self.width if name in QKV else None))


def _scale(scale: nn.Module) -> Operator | None:
    return None if qualified(scale) == IDENTITY else Operator(scale.gamma.detach(), None, module=scale)


def _affine(norm: nn.Module, h_bnc: Tensor) -> Tensor:
    """Scale and shift of a norm."""
    return h_bnc * norm.weight + norm.bias
