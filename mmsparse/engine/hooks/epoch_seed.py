"""A resumed run repeats what the undisturbed run would have done."""

from functools import partial

import numpy as np
from mmengine.dataset import worker_init_fn
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, set_random_seed

from mmsparse.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every epoch (without epochs: every iteration) from the run's seed, the position and the process.

    MMEngine's checkpoints hold no generator states. Once the state is a function of the position none needs to be
    stored, and neither validation nor the card at the start can shift what is drawn in training. Processes draw
    different dropout masks and crops. Workers that are started anew each epoch follow (MMEngine alone gives them the
    same seed every time); persistent ones live through the epochs and are exact only in an undisturbed run. So do all
    in a loop by iterations, which has one epoch; what such a run loads in the main process (num_workers=0) draws its
    augmentations anew in the first batch after a resume.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Runs before the loader's iterator draws from the generators."""
        seed = _seed(runner)
        loader = runner.train_dataloader
        if isinstance(loader.worker_init_fn, partial) and loader.worker_init_fn.func is worker_init_fn:
            loader.worker_init_fn = partial(loader.worker_init_fn, seed=seed)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """In a loop without epochs every iteration is seeded: a resumed one begins its only 'epoch' anew."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            _seed(runner)


def _seed(runner) -> int:
    """Set the generators by the run's seed, the position and the process; return what they were set to."""
    position = [runner.seed, runner.iter, runner.rank]
    # room for the worker's number below NumPy's limit of 2^32
    seed = int(np.random.SeedSequence(position).generate_state(1)[0]) >> 1
    set_random_seed(seed)
    return seed
