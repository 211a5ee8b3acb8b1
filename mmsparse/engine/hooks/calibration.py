"""Adaptive keep rates are calibrated before anything is tested or saved with them."""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from mmengine.runner import IterBasedTrainLoop
from torch import Tensor

from mmsparse.engine.calibration import adaptive, calibrate
from mmsparse.engine.hooks.model_hook import ModelHook
from mmsparse.engine.random_state import random_state, set_random_state, shared_seed
from mmsparse.errors import InputError
from mmsparse.models.necks.adaptive_keep import AdaptiveKeep
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped
from mmsparse.utils.value_checks import check_count


@HOOKS.register_module()
class CalibrationHook(ModelHook):
    """Let `mmsparse.AdaptiveKeep` meet its budget on training images that are prepared as those of the validation.

    At the end of every epoch; in a loop of iterations behind those after which a validation is due, and the last.
    Augmented images have other shares of attention: on the small host random crops alone move the mean number of
    patches by 10 to 15 %. The images follow from the run's seed, the same each time; the generators are left as they
    were.

    Args:
        images: how many.

    Raises:
        InputError: a model without `mmsparse.AdaptiveKeep`, a run without validation data.
    """

    priority = 'HIGH'  # before the state is saved

    def __init__(self, images: int = 512):
        check_count('CalibrationHook: received images', images, 512)
        self.images = images

    def check(self, runner) -> list[AdaptiveKeep]:
        """Return the parts to calibrate."""
        parts = [part for _, part in adaptive(runner.model)]
        if not parts:
            raise InputError(
                'CalibrationHook: the model has no mmsparse.AdaptiveKeep. Leave the hook out, or use that.'
            )
        if not runner.cfg.get('val_dataloader'):
            raise InputError(
                'CalibrationHook: the config has no val_dataloader, whose pipeline says how images are tested. Add '
                'one, or leave the hook out.'
            )
        return parts

    def before_train(self, runner) -> None:
        """Build the data, as the validation prepares them."""
        dataset = deepcopy(runner.cfg.train_dataloader.dataset)
        dataset.pipeline = deepcopy(runner.cfg.val_dataloader.dataset.pipeline)
        self.dataset = DATASETS.build(dataset)
        chosen = np.random.default_rng(shared_seed(runner)).permutation(len(self.dataset))[: self.images]
        size = runner.train_dataloader.batch_size
        self.batches = [chosen[first : first + size].tolist() for first in range(0, len(chosen), size)]

    def after_train_epoch(self, runner) -> None:
        """Calibrate, on every process alike."""
        self._calibrate(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Calibrate where a loop of iterations validates, or ends."""
        step, loop = runner.iter + 1, runner.train_loop
        due = step == runner.max_iters or runner.val_loop is not None and step % loop.val_interval == 0
        if isinstance(loop, IterBasedTrainLoop) and due:
            self._calibrate(runner)

    def _calibrate(self, runner) -> None:
        model, drawn = unwrapped(runner.model), random_state()
        training = model.training
        model.eval()
        for backbone, part in adaptive(model):
            calibrate(backbone, part, _Batches(self.dataset, self.batches, model.data_preprocessor))
        model.train(training)
        set_random_state(drawn)


class _Batches:
    """Normalised images, which can be gone through again."""

    def __init__(self, dataset, batches: list[list[int]], preprocessor):
        self.dataset, self.batches, self.preprocessor = dataset, batches, preprocessor

    def __iter__(self) -> Iterator[Tensor]:
        for batch in self.batches:
            yield self.preprocessor(pseudo_collate([self.dataset[index] for index in batch]))['inputs']
