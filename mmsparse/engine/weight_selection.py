"""Let `SelectedWeights` choose: the gradients of the host's weights, summed over images of the task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmsparse.models.adapters.selected_weights import SelectedWeights
from mmsparse.models.ops.contrastive import supervised_contrastive


def selecting(model: nn.Module) -> list[SelectedWeights]:
    """Return the adapters of a model that choose."""
    return [module for module in model.modules() if isinstance(module, SelectedWeights)]


def select_weights(model: nn.Module, batches: Iterable[dict]) -> None:
    """Choose by the gradients of some batches, each process by its own and all together.

    In evaluation mode, without dropout; no parameter and no gradient of the model changes but those that are chosen.

    Args:
        model: without wrappers.
        batches: as a loader of the task gives them, before the data preprocessor.
    """
    parts, mode = selecting(model), model.training
    matrices = {id(matrix): matrix for part in parts for rows in _rows(part).values() for matrix, _ in rows}
    sums = {key: torch.zeros_like(matrix) for key, matrix in matrices.items()}
    trained = {key: matrix.requires_grad for key, matrix in matrices.items()}
    model.eval()
    try:
        for matrix in matrices.values():
            matrix.requires_grad_(True)
        for batch in batches:
            with torch.enable_grad():
                loss = selection_loss(model, **model.data_preprocessor(batch, False))
                found = torch.autograd.grad(loss, list(matrices.values()))
            for total, gradient in zip(sums.values(), found):
                total += gradient
    finally:
        for key, matrix in matrices.items():
            matrix.requires_grad_(trained[key])
        model.train(mode)
    for total in sums.values():
        all_reduce(total)
    for part in parts:
        part.choose(partial(_gradient, sums, _rows(part)))


def select_at_random(model: nn.Module) -> None:
    """Choose without data where nothing has been chosen, to measure what a step costs: that is the same everywhere."""
    generator = torch.Generator().manual_seed(0)
    for part in selecting(model):
        if not part.chosen:
            part.choose(lambda *at, view=part.view: torch.rand(view.operator(*at).shape, generator=generator))


def selection_loss(model: nn.Module, inputs: Tensor, data_samples: list) -> Tensor:
    """Return the loss whose gradient decides: of one label per image the supervised contrastive one on the features
    before the head, which is random still (sec. 3.2); else the task's own.
    """
    labels = [sample.get('gt_label') for sample in data_samples]
    if hasattr(getattr(model, 'head', None), 'pre_logits') and all(
        label is not None and label.numel() == 1 for label in labels
    ):
        features_bc = model.head.pre_logits(model.extract_feat(inputs))
        return supervised_contrastive(features_bc, torch.cat([label.flatten() for label in labels]).to(inputs.device))
    return model.parse_losses(model(inputs, data_samples, mode='loss'))[0]


def _gradient(sums: dict[int, Tensor], rows: dict, *place: int | str) -> Tensor:
    return torch.cat([sums[id(matrix)][own] for matrix, own in rows[place]])


def _rows(part: SelectedWeights) -> dict[tuple[int, str], list[tuple[nn.Parameter, slice]]]:
    """Where the rows of every operator stand in the host's parameters."""
    found = defaultdict(list)
    for layer, names in part.layers.items():
        for name in names:
            for each in part.view.matrices(int(layer), name):
                matrix = part.view.blocks[int(layer) - 1].get_parameter(each.key)
                found[int(layer), name].append((matrix, slice(each.first, each.first + len(each.weight))))
    return found
