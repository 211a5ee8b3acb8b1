"""Res-Tuning: prefix, prompts and adapter beside the host's operators (Jiang et al., NeurIPS 2023, arXiv
2310.19859).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.adapters.bottleneck import Bottleneck
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count


class ResTuners(nn.Module):
    """The three tuners of one block."""

    def __init__(self, width: int, keys_width: int, length: int, bottleneck: int):
        super().__init__()
        self.prefix_keys, self.prefix_values, self.prompts = (
            nn.Parameter(torch.empty(length, own)) for own in (keys_width, keys_width, width)
        )
        self.adapter = Bottleneck('ResTuning', width, bottleneck, nn.GELU())
        for matrix in (self.prefix_keys, self.prefix_values, self.prompts):
            nn.init.xavier_uniform_(matrix)
        self.adapter.start_xavier()


@MODELS.register_module()
class ResTuning(BaseAdapter):
    """Res-Prefix and Res-Prompt beside attention, Res-Adapter beside the FFN: ``y ← OP(h) + tuner(h)``.

    Attention becomes ``(1 − λ) Attn(Q, K, V) + λ Attn(Q, K', V')`` with λ the share of ``Σ exp(Q K')`` in the sum over
    all keys, the paper's unbound form: the same as one softmax over K and K'. Of K' and V', those of the prefix are
    parameters, those of the prompts what the host's projections make of them. The FFN's output gets
    ``up(GELU(down(h)))`` of its normed input. Its projections start Xavier-uniform with biases of std 1e-6, as
    released; prefix and prompts, which were not released, Xavier-uniform too.

    Args:
        view: the host's view.
        length: keys of the prefix, and prompts, of each block.
        bottleneck: hidden width d of the adapter.

    Raises:
        InputError: a length or width below 1.
    """

    identity_at_start = False
    sites, reads_weights = ('mlp',), ('k', 'v')

    def __init__(self, view: View, length: int = 10, bottleneck: int = 10):
        super().__init__()
        check_count('ResTuning: received length', length, 10)
        self.view = view
        self.layers = nn.ModuleDict(
            {
                str(layer): ResTuners(view.width, view.operator(layer, 'q').shape[0], length, bottleneck)
                for layer in range(1, view.depth + 1)
            }
        )

    def keys(self, layer: int, t: Tokens) -> tuple[Tensor, Tensor]:
        """Return the keys and values of prefix and prompts, 2·length×C each."""
        part, block = self.layers[str(layer)], self.view.blocks[layer - 1]
        prompts_1pc = part.prompts.unsqueeze(0)
        projected = self.view.heads_of(block, *self.view.qkv(block, prompts_1pc[:, :0], prompts_1pc))
        k_pc, v_pc = (heads_1hpd[0].transpose(0, 1).flatten(1) for heads_1hpd in projected[1:])
        return torch.cat([part.prefix_keys, k_pc]), torch.cat([part.prefix_values, v_pc])

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the adapter of the FFN's normed input."""
        return y + self.layers[str(layer)].adapter(x)
