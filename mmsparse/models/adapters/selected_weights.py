"""Selected weights: of every neuron train the input connections whose gradient is largest, and nothing else (Zhang et
al., Gradient-based Parameter Selection for Efficient Fine-Tuning, CVPR 2024, arXiv 2312.10136).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsparse.errors import InputError
from mmsparse.models.adapters.base import LINEARS, BaseAdapter
from mmsparse.models.hosts.views.view import View
from mmsparse.registry import MODELS
from mmsparse.structures import Tokens
from mmsparse.utils.value_checks import check_count

HOOK = "custom_hooks=[dict(type='mmsparse.WeightSelectionHook')]"


class Connections(nn.Module):
    """The chosen numbers of one matrix.

    Args:
        rows: outputs of the matrix.
        per_neuron: K, numbers of each row.

    Attributes:
        values: rows×K, what the matrix has at these places.
        index: rows×K, columns; -1 as long as nothing has been chosen.
    """

    index: Tensor

    def __init__(self, rows: int, per_neuron: int):
        super().__init__()
        self.values = nn.Parameter(torch.zeros(rows, per_neuron))
        self.register_buffer('index', torch.full((rows, per_neuron), -1, dtype=torch.int32))
        self._chosen = False

    @property
    def chosen(self) -> bool:
        """Whether there are such numbers; asks the device until there are."""
        if not self._chosen and not self.index.is_meta:
            self._chosen = bool((self.index >= 0).all())
        return self._chosen


class _Gradient(torch.autograd.Function):
    """Returns y = x Wᵀ as it is, and gives the chosen numbers of W their gradient: that of all of W would cost as much
    as the product.
    """

    @staticmethod
    def forward(ctx, y: Tensor, x: Tensor, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(x, index)
        ctx.kind = values.dtype
        return y.view_as(y)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        x, index = ctx.saved_tensors
        x_im, gradient_om = (each.flatten(0, -2).T.contiguous().to(ctx.kind) for each in (x, gradient))
        columns = [(x_im.index_select(0, column) * gradient_om).sum(1) for column in index.T]
        return gradient, None, torch.stack(columns, 1), None


@MODELS.register_module()
class SelectedWeights(BaseAdapter):
    """Every row of q, k, v, proj, fc1 and fc2 (a neuron, as the paper calls it) trains K of its numbers, from the
    host's on; only these are counted, decayed and saved, with their places.

    `mmsparse.WeightSelectionHook` lets it choose before the first step of training (sec. 3.2): as long as nothing has
    been chosen the host answers as it is, which is said, and training is refused.

    Args:
        view: the host's view.
        per_neuron: K, from 1 to the smallest number of inputs.

    Raises:
        InputError: a number below 1 or above the inputs of a matrix, or an operator that is no plain matrix.
    """

    weights = sites = LINEARS
    folds = token_wise = True

    def __init__(self, view: View, per_neuron: int = 1):
        super().__init__()
        check_count('SelectedWeights: received per_neuron', per_neuron, 1)
        self.view, self._said = view, False
        self.layers = nn.ModuleDict({str(layer): nn.ModuleDict() for layer in range(1, view.depth + 1)})
        for layer, parts in self.layers.items():
            for name in LINEARS:
                rows, inputs = view.operator(int(layer), name).shape
                if per_neuron > inputs:
                    raise InputError(
                        f'SelectedWeights: received per_neuron={per_neuron}, but {name} in layer {layer} of '
                        f'{view.name} has {inputs} inputs. Choose fewer, such as 1, or mmsparse.FullTuning.'
                    )
                parts[name] = Connections(rows, per_neuron)

    def choose(self, gradient: Callable[[int, str], Tensor]) -> None:
        """Choose in every row the numbers with the largest gradients, of equals the first, and begin with the host's.

        Args:
            gradient: gives that of an operator's weight, out×in, by layer and name.
        """
        for layer, parts in self.layers.items():
            for name, part in parts.items():
                weight_oi = self.view.operator(int(layer), name).weight
                order_oi = gradient(int(layer), name).abs().sort(dim=1, descending=True, stable=True).indices
                index_ok = order_oi[:, : part.index.shape[1]].to(weight_oi.device)
                part.index.copy_(index_ok)
                part.values.data.copy_(weight_oi.gather(1, index_ok))

    @property
    def chosen(self) -> bool:
        """Whether it has chosen."""
        return all(part.chosen for parts in self.layers.values() for part in parts.values())

    def weight(self, layer: int, name: str, weight_oi: Tensor) -> Tensor:
        """Put the chosen numbers in their places."""
        part = self.layers[str(layer)][name]
        if not part.chosen:
            self._say_unchosen(weight_oi)
            return weight_oi
        return weight_oi.detach().scatter(1, part.index.long(), part.values.detach().to(weight_oi.dtype))

    def site(self, name: str, layer: int, x: Tensor, y: Tensor, t: Tokens | None) -> Tensor:
        """Give the chosen numbers their gradient; y has been computed with them."""
        part = self.layers[str(layer)][name]
        return _Gradient.apply(y, x, part.values, part.index) if part.chosen and torch.is_grad_enabled() else y

    def _say_unchosen(self, weight_oi: Tensor) -> None:
        if self.training and torch.is_grad_enabled():
            raise InputError(
                f'SelectedWeights: nothing has been chosen yet, so nothing would train. Add {HOOK} to the config; in '
                'a loop of your own call mmsparse.engine.weight_selection.select_weights(model, batches).'
            )
        if not self._said and not weight_oi.is_meta:  # on meta costs are counted
            print_log(
                'SelectedWeights has chosen no weights yet: these are the answers of the host as it is.',
                'current',
                logging.WARNING,
            )
            self._said = True
