"""All patches first, then fewer and fewer (Liang et al., EViT, ICLR 2022, arXiv 2202.07800)."""

import math

from mmsparse.engine.hooks.keep_rate import KeepRateHook
from mmsparse.errors import InputError
from mmsparse.registry import HOOKS
from mmsparse.utils.value_checks import is_number


@HOOKS.register_module()
class KeepRateWarmupHook(KeepRateHook):
    """Keep every patch at first, then let the keep rate fall along a cosine to the configured one, step by step.

    Acts on every sparsifier that has one ``keep_rate``. The rate follows from the position alone, so a resumed run
    goes on as it would have. Validation uses the rate reached; `mmsparse.CheckpointHook` ranks no score before that is
    the configured one.

    Args:
        start: epochs with all patches, at least 0.
        epochs: epochs of the fall, more than 0.

    Raises:
        InputError: no sparsifier with a keep rate, another schedule, or no step of the training left at the configured
            rate.
    """

    def __init__(self, start: float, epochs: float):
        if not is_number(start) or not is_number(epochs) or start < 0 or epochs <= 0:
            raise InputError(
                f'KeepRateWarmupHook: received start={start!r}, epochs={epochs!r}; expected numbers, start of at '
                'least 0 and epochs above 0. Leave the hook out for the configured rate from the first step on.'
            )
        self.start, self.epochs = start, epochs

    def before_train(self, runner) -> None:
        """Note the configured rates; a resumed run may begin with a validation, which has the last step's rate."""
        self.goals = {part: part.keep_rate for part in self.check(runner)}
        length = len(runner.train_dataloader)
        if (self.start + self.epochs) * length > runner.max_iters - 1:
            raise InputError(
                f'KeepRateWarmupHook: start={self.start} and epochs={self.epochs} leave no step at the configured '
                f'keep rate in a training of {runner.max_iters / length:g} epochs: it would be tested at one that it '
                'never saw. Use smaller values or train longer.'
            )
        if runner.iter > 0:
            self._set(runner, runner.iter - 1)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Set this step's rate."""
        self._set(runner, runner.iter)

    def _set(self, runner, iteration: int) -> None:
        progress = (iteration / len(runner.train_dataloader) - self.start) / self.epochs
        open_share = (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
        for part, goal in self.goals.items():
            part.keep_rate = goal + (1 - goal) * open_share
        runner.provisional = progress < 1
