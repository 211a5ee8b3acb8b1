"""FPET: one merge of half of the patches whose matching is trained (Kim et al., CVPR 2025, arXiv 2503.20282)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier, asked, check_layers
from mmsparse.models.necks.tome import averaging
from mmsparse.models.ops.attention import Probe, without_autocast
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens
from mmsparse.utils.value_checks import check_count

DROPOUT = 0.1


class DifferentiableMatching(nn.Module):
    """Bipartite differentiable matching on refined keys (sec. 3.2): every token of one side joins the most similar one
    of the other.

    The refinement is a residual bottleneck without biases, zero at first, on keys whose gradient is cut.

    Args:
        width: of the keys.
        bottleneck: hidden width of the refinement.
    """

    def __init__(self, width: int, bottleneck: int):
        super().__init__()
        self.down = nn.Linear(width, bottleneck, bias=False)
        self.up = nn.Linear(bottleneck, width, bias=False)
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.zeros_(self.up.weight)

    def forward(self, key_bmd: Tensor, side_a: Tensor, side_b: Tensor) -> Tensor:
        """Return how similar the tokens of both sides are, B×a×b: cosines of refined keys, float32 or wider.

        Args:
            key_bmd: keys of the patches, mean over heads.
            side_a, side_b: their places.
        """
        with without_autocast(key_bmd.device):
            key_bmd = key_bmd.detach().to(self.down.weight.dtype)
            key_bmd = key_bmd + self.up(self.dropout(torch.relu(self.down(key_bmd))))
            unit_bmd = F.normalize(key_bmd.to(torch.promote_types(key_bmd.dtype, torch.float32)), dim=-1)
            return unit_bmd[:, side_a] @ unit_bmd[:, side_b].transpose(1, 2)


def straight_through(alike_bab: Tensor, choice_ba: Tensor) -> Tensor:
    """Return the matching matrix, B×a×b: 1 at each token's choice, 0 elsewhere, with the gradient of
    sigmoid(similarity − mean of the token's two highest)."""
    top_bak = alike_bab.topk(min(2, alike_bab.shape[2]), dim=2).values
    soft_bab = (alike_bab - top_bak.mean(2, keepdim=True)).sigmoid()
    hard_bab = torch.zeros_like(soft_bab).scatter(2, choice_ba.unsqueeze(2), 1)
    return soft_bab + (hard_bab - soft_bab).detach()


@MODELS.register_module()
class FPET(BaseSparsifier):
    """Merge half of the patches once, behind the attention of one layer: those at the white fields of a checkerboard
    into those at the black ones.

    A merged token is the mean of the patches behind it and counts as that many keys in later attention. Which merge
    into which is trained through: the matching matrix is hard, its gradient that of a soft one. Combine it with an
    adapter (the paper: LoRA, AdaptFormer and their binary kin). Of two equally similar choices the first counts; the
    published code has none there.

    Ours: what tokens carry and later logits (the log of a size) give the matching no gradient; the refinement is not
    binary; where others have merged before, fields are counted along the sequence.

    Args:
        view: the host's view.
        layer: where to merge, counted from 1; None: behind the first half of the blocks, 7 of 12 as published.
        bottleneck: hidden width of the refinement.
    """

    proportional = asks_attention = True

    def __init__(self, view: View, layer: int | None = None, bottleneck: int = 32):
        super().__init__()
        self.layers = (view.depth // 2 + 1 if layer is None else layer,)
        check_layers('FPET', view, self.layers)
        check_count('FPET: received bottleneck', bottleneck, 32)
        self.match, self.depth = DifferentiableMatching(view.width // view.heads, bottleneck), view.depth

    @property
    def reads_rows(self) -> bool:
        """In the last block, training needs all of its tokens to reach the parameters."""
        return self.training and self.layers == (self.depth,)

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Match the fields of the checkerboard, and merge every match."""
        if layer not in self.layers:
            return None
        side_a, side_b = self._sides(tokens)
        if not len(side_b):  # distributed training waits for a gradient of each parameter
            nothing = sum(0 * parameter.sum() for parameter in self.parameters()) if self.training else None
            return None if nothing is None else Plan.stay(tokens, edit=lambda x_bnc: x_bnc + nothing.to(x_bnc.dtype))
        key_bmd = asked('FPET', layer, probe).k_bhnd.mean(1)[:, tokens.prefix :]
        alike_bab = self.match(key_bmd, side_a, side_b)
        choice_ba = alike_bab.argmax(2)
        head = torch.arange(tokens.prefix, device=side_a.device)
        index_bn = tokens.source_bm.new_zeros(tokens.x_bnc.shape[:2])
        index_bn[:, head] = head
        index_bn[:, tokens.prefix + side_b] = tokens.prefix + torch.arange(len(side_b), device=side_b.device)
        index_bn[:, tokens.prefix + side_a] = tokens.prefix + choice_ba
        edit = None
        if self.training and alike_bab.requires_grad:
            matching_bab = straight_through(alike_bab, choice_ba)

            def edit(x_bnc: Tensor) -> Tensor:
                return self._with_gradient(x_bnc, tokens, side_a, side_b, matching_bab)

        source_br = (tokens.prefix + side_a).expand(len(index_bn), -1)
        return averaging(tokens, index_bn, tokens.prefix + len(side_b), source_br, edit)

    @staticmethod
    def _sides(tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The places of the white and the black fields among the patches, in their order."""
        height, width = tokens.grid
        whole, places = tokens.patches == height * width, range(tokens.patches)
        colours = [(place // width + place % width) % 2 if whole else place % 2 for place in places]
        sides = ([place for place in places if colours[place] == colour] for colour in (0, 1))
        side_a, side_b = (torch.tensor(side, dtype=torch.long, device=tokens.x_bnc.device) for side in sides)
        return side_a, side_b

    @staticmethod
    def _with_gradient(x_bnc: Tensor, tokens: Tokens, side_a: Tensor, side_b: Tensor, matching_bab: Tensor) -> Tensor:
        """Return the tokens as they are, with the gradient by the matching that the merged tokens will have.

        A merged token is (s_b·x_b + Mᵀ(s_a·x_a)) / (s_b + Mᵀ s_a). The plan's merge has its value and its gradient by
        the tokens; the one by M is that of a term of value 0 on x_b, divided by the share that the merge gives to x_b.
        """
        size_bm1 = tokens.sizes_bn[:, tokens.prefix :].unsqueeze(-1)
        own_bmc = x_bnc[:, tokens.prefix :].detach() * size_bm1
        into_bba = matching_bab.transpose(1, 2)
        total_bb1 = size_bm1[:, side_b] + into_bba @ size_bm1[:, side_a]
        merged_bbc = (own_bmc[:, side_b] + into_bba @ own_bmc[:, side_a]) / total_bb1
        share_bb1 = size_bm1[:, side_b] / total_bb1.detach()
        zero_bbc = ((merged_bbc - merged_bbc.detach()) / share_bb1).to(x_bnc.dtype)
        return x_bnc.index_add(1, tokens.prefix + side_b, zero_bbc)
