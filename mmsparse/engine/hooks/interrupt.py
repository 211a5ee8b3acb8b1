"""A run that is asked to stop finishes its step, saves, and says how it goes on."""

from __future__ import annotations

import signal
import threading

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmsparse.errors import Interrupted
from mmsparse.registry import HOOKS
from mmsparse.state.folder import INTERRUPTED

ASKING = ('SIGINT', 'SIGTERM', 'SIGUSR1')


@HOOKS.register_module()
class InterruptHook(Hook):
    """On SIGINT (Ctrl-C), SIGTERM or SIGUSR1 finish the step, save a state and leave; a second signal leaves at once.

    The state is called ``interrupted`` and goes when the run has saved another. Of several processes one that is asked
    is enough: they agree after every step. Signals reach a process's main thread only; elsewhere nothing is caught.

    Raises:
        Interrupted: after the state is saved; the tools end with status 75 and the command to go on with.
    """

    priority = 'LOWEST'  # behind what else saves and counts

    def __init__(self):
        self.asked, self.before = None, {}

    def before_train(self, runner) -> None:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            known = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
            self.before = {number: signal.signal(number, self._note) for number in known}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Leave behind the step."""
        self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Leave in the middle of a validation, which the resumed run makes up for."""
        if self.before:
            self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter))

    def after_train(self, runner) -> None:
        """Listen no longer."""
        self._restore()

    def _note(self, number: int, frame) -> None:
        self.asked = signal.Signals(number).name
        self._restore()

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _leave(self, runner, meta: dict) -> None:
        asked = torch.tensor(int(self.asked is not None), device=get_device() if runner.world_size > 1 else 'cpu')
        if runner.world_size > 1:
            all_reduce(asked, 'max')
        if not asked:
            return
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, meta=meta)
        self._restore()
        raise Interrupted(
            f'{self.asked or "a signal to another process"} after epoch {meta["epoch"]}, iteration {meta["iter"]}; '
            f'all is saved in {runner.work_dir}/{INTERRUPTED}.'
        )
