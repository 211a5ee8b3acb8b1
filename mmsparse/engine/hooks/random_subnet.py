"""Every step another sub-network (Zhang et al., Neural Prompt Search, arXiv 2206.04673)."""

import numpy as np
from torch import nn

from mmsparse.engine.hooks.model_hook import ModelHook
from mmsparse.engine.random_state import shared_seed
from mmsparse.errors import InputError
from mmsparse.models.adapters.noah import NOAH
from mmsparse.registry import HOOKS


@HOOKS.register_module()
class RandomSubnetHook(ModelHook):
    """Draw a sub-network for every training step, depths and sizes uniformly; what comes between steps finds all of
    the super-network.

    What is drawn follows from the run's seed and the position: all processes agree and a resumed run draws the same.

    Raises:
        InputError: the model has no super-network.
    """

    def check(self, runner) -> list[NOAH]:
        """Return the super-networks."""
        return supernets(runner.model, type(self).__name__)

    def before_train(self, runner) -> None:
        """Note the super-networks, and the seed."""
        self.supernets, self.seed = self.check(runner), shared_seed(runner)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Choose this step's sub-network."""
        random = np.random.default_rng([self.seed, runner.iter])
        for supernet in self.supernets:
            supernet.choose(supernet.space.drawn(random))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Validation finds the whole."""
        for supernet in self.supernets:
            supernet.choose(None)


def supernets(model: nn.Module, name: str) -> list[NOAH]:
    """Return the super-networks of a model.

    Raises:
        InputError: there is none; `name` is who asks.
    """
    parts = [part for part in model.modules() if isinstance(part, NOAH)]
    found = [part for part in parts if part.built == part.space.whole]
    if not found:
        raise InputError(
            f'{name}: the model has {"one sub-network alone" if parts else "no mmsparse.NOAH"}, expected a '
            "super-network: adapter=dict(type='mmsparse.NOAH') without `subnet`."
        )
    return found
