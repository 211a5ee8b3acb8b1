"""The small network that Adapter, AdaptFormer and DyT's adapter are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmsparse.utils.value_checks import check_count, check_dropout


class Bottleneck(nn.Module):
    """``up(dropout(activation(down(x))))``, with biases, which start at zero; whoever uses it draws the weights.

    Args:
        name: of the method, for errors.
        width: embed_dim.
        bottleneck: hidden width d, at least 1.
        activation: between the two.
        dropout: probability in [0, 1), in training.

    Raises:
        InputError: a width or probability outside these ranges.
    """

    def __init__(self, name: str, width: int, bottleneck: int, activation: nn.Module, dropout: float = 0.0):
        super().__init__()
        check_count(f'{name}: received bottleneck', bottleneck, 64)
        check_dropout(name, dropout)
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.activation, self.dropout = activation, nn.Dropout(dropout)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.bias)

    def forward(self, x_bnc: Tensor) -> Tensor:
        """Return B×N×C."""
        return self.up(self.dropout(self.activation(self.down(x_bnc))))

    def start_xavier(self) -> None:
        """Draw weights Xavier-uniform and biases from a normal of std 1e-6, as Vision Transformers start theirs."""
        for linear in (self.down, self.up):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)


def quick_gelu(z: Tensor) -> Tensor:
    """Return z·σ(1.702 z), the activation of CLIP."""
    return z * torch.sigmoid(1.702 * z)
