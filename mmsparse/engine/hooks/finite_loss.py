"""Training stops at the first loss that is not a number."""

import math

from mmengine.hooks import Hook

from mmsparse.errors import InputError
from mmsparse.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop when a loss is infinite or not a number, so that no checkpoint of a broken network follows.

    Every iteration is checked. That costs nothing: MMEngine has already brought the losses to the CPU for its log.

    Raises:
        InputError: a loss is not finite; the text names epoch, iteration, losses and learning rate.
    """

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Read what RuntimeInfoHook (priority VERY_HIGH) has just logged."""
        read = runner.message_hub.get_scalar
        losses = {key: read(f'train/{key}').current() for key in outputs or {} if 'loss' in key}
        if all(map(math.isfinite, losses.values())):
            return
        rates = [f'{read(key).current():.3g}' for key in runner.message_hub.log_scalars if key.endswith('lr')]
        received = ', '.join(f'{key} = {value}' for key, value in losses.items())
        raise InputError(
            f'Training stopped at epoch {runner.epoch + 1}, iteration {runner.iter + 1}: {received}, expected finite '
            f'numbers (learning rate {", ".join(rates)}). Checkpoints of finished epochs are in {runner.work_dir}. '
            'Try a lower learning rate, a longer warm-up or optim_wrapper.clip_grad=dict(max_norm=1.0), and look at '
            'the data.'
        )
