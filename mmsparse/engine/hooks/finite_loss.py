"""Training stops before the step that a number would spoil which is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from mmengine.hooks import Hook
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from mmsparse.engine.gradients import wrappers
from mmsparse.errors import InputError
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped

REMEDY = (
    'Try a lower learning rate, a longer warm-up or optim_wrapper.clip_grad=dict(max_norm=1.0), and look at the data.'
)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop where a loss, a gradient, a parameter that trains or a learning rate is infinite or not a number, before
    the optimiser moves: nothing is spoilt then, and no state of a broken network follows.

    Every process looks. Losses, gradients and parameters are reduced to one number on their device, which is read once
    a step; MMEngine waits for the same step anyway, to log its losses.

    Raises:
        InputError: names epoch, iteration, what is not finite, the batch, the last losses and the learning rates.
    """

    def __init__(self):
        self.losses: list[Tensor] = []
        self.images: list = []

    def before_train(self, runner) -> None:
        """See every loss that is handed to an optimiser, and every step before it is taken."""
        self.names = {id(each): name for name, each in unwrapped(runner.model).named_parameters()}
        for wrapper in wrappers(runner.optim_wrapper):
            wrapper.update_params = self._noting(wrapper.update_params)
            wrapper.optimizer.register_step_pre_hook(partial(self._check, runner))

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Note which images these are."""
        samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
        self.images = list(samples) if isinstance(samples, Sequence) else []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Read what RuntimeInfoHook (priority VERY_HIGH) has logged: losses that no step followed."""
        read = runner.message_hub.get_scalar
        losses = {key: read(f'train/{key}').current() for key in outputs or {} if 'loss' in key}
        if not all(map(math.isfinite, losses.values())):
            raise self._stopped(runner, ', '.join(f'{key} = {value}' for key, value in losses.items()))

    def _noting(self, update: Callable) -> Callable:
        def noted(loss: Tensor, *args, **kwargs):
            self.losses.append(loss.detach())
            return update(loss, *args, **kwargs)

        return noted

    def _check(self, runner, optimizer: Optimizer, *_) -> None:
        losses, self.losses = self.losses, []
        trains = [each for group in optimizer.param_groups for each in group['params'] if each.grad is not None]
        grads = [each.grad.coalesce().values() if each.grad.is_sparse else each.grad for each in trains]
        rates = [float(group['lr']) for group in optimizer.param_groups]
        largest = get_total_norm([*losses, *grads, *trains], norm_type=math.inf)
        if all(map(math.isfinite, rates)) and bool(largest.isfinite()):
            return
        found = [f'loss = {loss.item():g}' for loss in losses if not loss.isfinite().all()]
        if broken := [each for each in trains if not each.isfinite().all()]:
            found.append(f'the parameter {self._named(broken)} is not finite')
        elif broken := [each for each, grad in zip(trains, grads) if not grad.isfinite().all()]:
            found.append(f'the gradient of {self._named(broken)} is not finite')
        found += [f'learning rate = {rate}' for rate in rates if not math.isfinite(rate)]
        raise self._stopped(runner, ', '.join(found))

    def _named(self, broken: list[Tensor]) -> str:
        name = self.names.get(id(broken[0]), 'one of the optimiser')
        return name + (f' (and of {len(broken) - 1} more)' if len(broken) > 1 else '')

    def _stopped(self, runner, received: str) -> InputError:
        scalars = runner.message_hub.log_scalars
        rates = [f'{scalars[key].current():.3g}' for key in scalars if key.endswith('lr')]
        last = [f'{loss:.3g}' for loss in scalars['train/loss'].data[0][-3:]] if 'train/loss' in scalars else []
        images = [str(getattr(each, 'img_path', getattr(each, 'sample_idx', ''))) for each in self.images]
        about = {'learning rate': rates, 'last losses': last, 'images': [each for each in images if each]}
        about = '; '.join(f'{key} {", ".join(values)}' for key, values in about.items() if values)
        return InputError(
            f'Training stopped at epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {received}, expected finite '
            f'numbers ({about}). Checkpoints of finished epochs are in {runner.work_dir}. {REMEDY}'
        )
