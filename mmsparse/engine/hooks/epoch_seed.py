"""A resumed run repeats what the undisturbed run would have done."""

from functools import partial

import numpy as np
from mmengine.dataset import worker_init_fn
from mmengine.hooks import Hook
from mmengine.runner import set_random_seed

from mmsparse.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every iteration from the run's seed, the position and the process: dropout, Mixup, Gumbel noise.

    MMEngine's checkpoints hold no generator states. Once the state is a function of the position none needs to be
    stored, and neither validation nor the card at the start can shift what is drawn in training. Processes draw
    different masks. What is drawn for a sample is a function of the sample (`mmsparse.engine.exact_data`); the seed at
    the start of an epoch is for workers of data that have no samples, such as streams.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Runs before the loader's iterator draws from the generators."""
        seed = _seed(runner)
        loader = runner.train_dataloader
        if isinstance(loader.worker_init_fn, partial) and loader.worker_init_fn.func is worker_init_fn:
            loader.worker_init_fn = partial(loader.worker_init_fn, seed=seed)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Runs before the forward pass."""
        _seed(runner)


def _seed(runner) -> int:
    """Set the generators by the run's seed, the position and the process; return what they were set to."""
    position = [runner.seed, runner.iter, runner.rank]
    # room for the worker's number below NumPy's limit of 2^32
    seed = int(np.random.SeedSequence(position).generate_state(1)[0]) >> 1
    set_random_seed(seed)
    return seed
