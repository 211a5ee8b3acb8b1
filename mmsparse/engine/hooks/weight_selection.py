"""Which weights train is decided by the data, before the first step."""

import numpy as np
from mmengine.runner import set_random_seed
from torch.utils.data import DataLoader

from mmsparse.engine.hooks.model_hook import ModelHook
from mmsparse.engine.random_state import random_state, set_random_state, shared_seed
from mmsparse.engine.weight_selection import select_weights, selecting
from mmsparse.errors import InputError
from mmsparse.models.adapters.selected_weights import SelectedWeights
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped


@HOOKS.register_module()
class WeightSelectionHook(ModelHook):
    """Let `mmsparse.SelectedWeights` choose by the gradients of one pass over the training images, two views of each
    as the training pipeline draws them (Zhang et al., arXiv 2312.10136).

    The order and the views follow from the run's seed; the generators are left as they were. What a state holds has
    been chosen: a resumed run, and one that loads a state, goes on with it.

    Raises:
        InputError: a model without `mmsparse.SelectedWeights`.
    """

    def check(self, runner) -> list[SelectedWeights]:
        """Return the adapters that choose."""
        parts = selecting(runner.model)
        if not parts:
            raise InputError(
                'WeightSelectionHook: the model has no mmsparse.SelectedWeights. Leave the hook out, or use that.'
            )
        return parts

    def before_train(self, runner) -> None:
        """Choose where nothing has been chosen."""
        parts = self.check(runner)
        if all(part.chosen for part in parts):
            return
        seed, drawn = shared_seed(runner), random_state()
        set_random_seed(seed + runner.rank)
        pairs = _pairs(runner.train_dataloader, seed, runner.rank, runner.world_size)
        select_weights(unwrapped(runner.model), pairs)
        set_random_state(drawn)
        images = len(runner.train_dataloader.dataset)
        numbers = sum(parameter.numel() for part in parts for parameter in part.parameters())
        runner.logger.info(f'SelectedWeights: {numbers:,} weights chosen by the gradients of {images:,} images.')


def _pairs(loader: DataLoader, seed: int, rank: int, processes: int) -> DataLoader:
    """Return a loader of batches as large as those of `loader`, with every image of this process's share twice."""
    order = np.random.default_rng(seed).permutation(len(loader.dataset))[rank::processes]
    images = max(loader.batch_size // 2, 1)
    batches = [order[first : first + images].repeat(2).tolist() for first in range(0, len(order), images)]
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=loader.worker_init_fn,
    )
