"""Mixed precision on any device, where it is worth it."""

import logging
from contextlib import contextmanager

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmsparse.engine.precision import agree
from mmsparse.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(AmpOptimWrapper):
    """Run forward and loss in the fastest number format; MMEngine's AmpOptimWrapper refuses CPUs, measures nothing.

    Args:
        dtype: 'auto' (`mmsparse.engine.precision.choose`), 'float32', 'bfloat16' or, on a GPU, 'float16'.
        loss_scale: as in AmpOptimWrapper; the losses of float16 alone are scaled.

    Raises:
        InputError: no such format, or not on this device.
    """

    def __init__(self, dtype: str = 'auto', loss_scale: float | str | dict = 'dynamic', **kwargs):
        OptimWrapper.__init__(self, **kwargs)  # AmpOptimWrapper's asks for a GPU
        self.precision = agree(dtype)
        fixed = isinstance(loss_scale, int | float)
        scaling = dict(init_scale=loss_scale) if fixed else {} if loss_scale == 'dynamic' else dict(loss_scale)
        self.loss_scaler = torch.amp.GradScaler(
            self.precision.device, enabled=self.precision.name == 'float16', **scaling
        )
        self._scale_update_param = float(loss_scale) if fixed else None

    def initialize_count_status(self, model, init_counts: int, max_counts: int) -> None:
        """Begin to count; where gradients wait for their step none is lost, whatever MMEngine would say."""
        waiting = any(parameter.grad is not None for parameter in model.parameters())
        super().initialize_count_status(model, 0 if waiting else init_counts, max_counts)
        self._inner_count = init_counts

    @contextmanager
    def optim_context(self, model):
        """Wrap MMEngine's context (gradient accumulation) in autocast."""
        with OptimWrapper.optim_context(self, model), self.precision.cast():
            yield

    def state_dict(self) -> dict:
        """Return MMEngine's dictionary and the number format."""
        state = super().state_dict()
        if not self.loss_scaler.is_enabled():
            state.pop('loss_scaler')
        return {**state, 'precision': self.precision.name}

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the optimiser; say so where its state was made in another number format than this run's."""
        before = state_dict.pop('precision', self.precision.name)
        if before != self.precision.name:
            print_log(
                f'The state was trained in {before}, this run goes on in {self.precision}.', 'current', logging.WARNING
            )
        super().load_state_dict(state_dict)
