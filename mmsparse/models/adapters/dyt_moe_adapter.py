"""DyT's MoE-adapter: an adapter mixed for each image from several (Zhao et al., NeurIPS 2024, arXiv 2403.11808, sec.
3.4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.models.hosts.views.view import View, mean_of_patches
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count, check_dropout, check_positive


class Experts(nn.Module):
    """N bottlenecks side by side in two linears, and a router that says how much of each an image gets."""

    def __init__(self, width: int, bottleneck: int, experts: int):
        super().__init__()
        self.router = nn.Linear(width, experts, bias=False)
        self.down, self.up = nn.Linear(width, experts * bottleneck), nn.Linear(bottleneck, experts * width)
        # A linear's own initialisation is that of router and down-projections.
        for start in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start)

    def forward(self, t: Tokens, dropout: nn.Module) -> Tensor:
        """Return B×N×C for the residual stream of `t`."""
        share_be = self.router(mean_of_patches(t)).softmax(-1)
        return self._mixed(self.up, share_be, dropout(self._mixed(self.down, share_be, t.x_bnc).relu()))

    @staticmethod
    def _mixed(linear: nn.Linear, share_be: Tensor, x_bni: Tensor) -> Tensor:
        """Run the linear whose weight and bias are the mean of the experts', each times its share in the image."""
        weight_boi = (share_be @ linear.weight.view(share_be.shape[1], -1)).unflatten(1, (-1, x_bni.shape[2]))
        bias_b1o = (share_be @ linear.bias.view(share_be.shape[1], -1)).unsqueeze(1)
        return torch.baddbmm(bias_b1o, x_bni, weight_boi.mT)


@MODELS.register_module()
class DyTMoEAdapter(BaseAdapter):
    """AdaptFormer's branch with ``W = Σ_i α_i W_i`` for both projections and their biases, at the cost of one adapter.

    ``α = softmax(router · mean of the image's patches)``: that it is a softmax, and that biases mix too, are our
    reading. A token counts for the patches merged in it. Down-projections start Kaiming-uniform (a=√5), up-projections
    and biases zero.

    Args:
        view: the host's view.
        bottleneck: hidden width d of every expert.
        experts: their number N; 4 is best in the paper.
        scale: factor s of the output.
        dropout: probability, after the ReLU, in training.

    Raises:
        InputError: a width or number below 1, a scale that is no finite number above 0, a probability outside [0, 1).
    """

    sites = ('mlp',)
    reads_rows = True

    def __init__(self, view: View, bottleneck: int = 64, experts: int = 4, scale: float = 0.1, dropout: float = 0.1):
        super().__init__()
        check_count('DyTMoEAdapter: received bottleneck', bottleneck, 64)
        check_count('DyTMoEAdapter: received experts', experts, 4)
        check_positive('DyTMoEAdapter: received scale', scale, 0.1)
        check_dropout('DyTMoEAdapter', dropout)
        self.scale, self.dropout = scale, nn.Dropout(dropout)
        layers = range(1, view.depth + 1)
        self.layers = nn.ModuleDict({str(layer): Experts(view.width, bottleneck, experts) for layer in layers})

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Add the image's own bottleneck of the residual stream, all tokens, also those that skip the FFN."""
        return y + self.scale * self.layers[str(layer)](t, self.dropout)
