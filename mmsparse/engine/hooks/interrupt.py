"""A run that is asked to stop finishes its step, saves, and says how it goes on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import EMAHook, Hook

from mmsparse.errors import Interrupted
from mmsparse.registry import HOOKS
from mmsparse.state.folder import INTERRUPTED

ASKING = ('SIGINT', 'SIGTERM', 'SIGUSR1')


def handlers() -> dict[int, object]:
    """Return who handles the signals that ask a run to stop, by number; none where this thread gets no signals."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    known = [getattr(signal, name) for name in ASKING if hasattr(signal, name)]
    return {number: handler for number in known if (handler := signal.getsignal(number)) is not None}


def hand_back(before: dict[int, object]) -> None:
    """Give signals back to who handled them."""
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Give signals back however training ends: after an error no hook is asked."""
    before = handlers()
    try:
        yield
    finally:
        hand_back(before)


@HOOKS.register_module()
class InterruptHook(Hook):
    """On SIGINT (Ctrl-C), SIGTERM or SIGUSR1 finish the step, save a state and leave; a second signal leaves at once.

    The state is called ``interrupted`` and goes when the run has saved another. Of several processes one that is asked
    is enough: they agree after every step. Signals reach a process's main thread only; elsewhere nothing is caught.
    What training forks (pools of processes) is ended by them as usual.

    Raises:
        Interrupted: after the state is saved; the tools end with status 75 and the command to go on with.
    """

    priority = 'LOWEST'  # behind what else saves and counts

    def __init__(self):
        self.asked, self.before, self.process = None, {}, None
        self.validated = 0

    def before_train(self, runner) -> None:
        """Listen."""
        self.before, self.process = handlers(), os.getpid()
        for number in self.before:
            signal.signal(number, self._note)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Leave behind the step."""
        self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter + 1))

    def before_val_epoch(self, runner) -> None:
        """Count this validation's batches."""
        self.validated = 0

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Leave in the middle of a validation, which the resumed run makes up for."""
        self.validated += 1
        if self.before:
            # mmpretrain's EMAHook may validate the weights too, behind their averages
            swapped = self.validated <= len(runner.val_dataloader)
            self._leave(runner, dict(epoch=runner.epoch, iter=runner.iter), swapped)

    def after_train(self, runner) -> None:
        """Listen no longer."""
        hand_back(self.before)

    def _note(self, number: int, frame) -> None:
        hand_back(self.before)
        if os.getpid() == self.process:
            self.asked = signal.Signals(number).name
        else:  # of a fork: whoever waits for its end would wait for good
            os.kill(os.getpid(), number)

    def _leave(self, runner, meta: dict, swapped: bool = False) -> None:
        asked = torch.tensor(int(self.asked is not None), device=get_device() if runner.world_size > 1 else 'cpu')
        if runner.world_size > 1:
            all_reduce(asked, 'max')
        if not asked:
            return
        for hook in runner.hooks if swapped else ():
            if isinstance(hook, EMAHook) and getattr(hook, 'evaluate_on_ema', True):
                hook._swap_ema_parameters()  # a validation has the averages in the place of the weights
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, meta=meta)
        hand_back(self.before)
        raise Interrupted(
            f'{self.asked or "a signal to another process"} after epoch {meta["epoch"]}, iteration {meta["iter"]}; '
            f'all is saved in {runner.work_dir}/{INTERRUPTED}.'
        )
