"""One live line instead of a scrolling log, where there is a terminal."""

import atexit
import logging
import sys
from datetime import timedelta

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from mmsparse.registry import HOOKS
from mmsparse.utils.terminal import figures, screens

RECENT = 20  # iterations over which speed and loss are averaged


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show epoch, time left, loss, learning rate and img/s in one line, which validation and test take over.

    The loss of every finished epoch and every validation stay above it; the line itself is gone when the run ends.
    While it lives, MMEngine's own lines go to the log file only (warnings still appear above it). Without a terminal
    this hook does nothing and they are what one sees. Only the first process draws.
    """

    priority = 'LOW'  # after the hooks that log loss, rate and time

    def __init__(self):
        self.progress = None
        self.training = False
        self.handlers = []

    def before_train_epoch(self, runner) -> None:
        """Start here and not in before_train, where the card is still being drawn."""
        words = (
            'iterations'
            if isinstance(runner.train_loop, IterBasedTrainLoop)
            else f'epoch {runner.epoch + 1}/{runner.max_epochs}'
        )
        self._take_over(runner, words, runner.max_iters, runner.iter)
        self.training, self.begun = True, runner.iter

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if self.progress is not None:
            if not self.training:  # a loop without epochs goes on after a validation
                self.before_train_epoch(runner)
            read = runner.message_hub.get_scalar
            speed = len(data_batch['inputs']) * runner.world_size / read('train/time').mean(RECENT)
            left = timedelta(seconds=round(runner.message_hub.get_info('eta')))
            # several optimisers have several
            rate = f'  lr {read("train/lr").current():.2e}' if 'train/lr' in runner.message_hub.log_scalars else ''
            now = f'{left} left  loss {read("train/loss").mean(RECENT):.4f}{rate}  {speed:.0f} img/s'
            self.progress.update(self.line, completed=runner.iter + 1, figures=now)

    def after_train_epoch(self, runner) -> None:
        self._say_loss(runner)

    def before_val_epoch(self, runner) -> None:
        self._say_loss(runner)  # of a loop without epochs
        self._take_over(runner, 'validation', len(runner.val_dataloader))

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._advance()

    def after_val_epoch(self, runner, metrics=None) -> None:
        loop = runner._train_loop
        place = (
            f', iteration {runner.iter}'
            if isinstance(loop, IterBasedTrainLoop)
            else f', epoch {runner.epoch}'
            if isinstance(loop, BaseLoop)
            else ''
        )
        self._say(f'validation{place}', metrics)

    def before_test_epoch(self, runner) -> None:
        self._take_over(runner, 'test', len(runner.test_dataloader))

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self._advance()

    def after_run(self, runner) -> None:
        self._stop()

    def _take_over(self, runner, words: str, total: int, completed: int = 0) -> None:
        self.training = False
        if self.progress is None and not self._start(runner):
            return
        self.progress.refresh()  # the last state of the line before it goes
        for task in self.progress.tasks:
            self.progress.remove_task(task.id)
        self.line = self.progress.add_task(words, total=total, completed=completed, figures='')

    def _start(self, runner) -> bool:
        console = Console()
        if runner.rank != 0 or not console.is_terminal or console.is_dumb_terminal:
            return False
        columns = (
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn('{task.fields[figures]}'),
        )
        self.progress = Progress(*columns, console=console, refresh_per_second=4, transient=True)
        self.progress.start()
        self.handlers = [(handler, handler.level, handler.stream) for handler in screens(runner.logger)]
        for handler, level, _ in self.handlers:
            handler.setLevel(max(level, logging.WARNING))
            handler.setStream(sys.stdout)  # rich's stand-in, which prints above the line
        atexit.register(self._stop)  # a run that ends by an error must give the cursor back too
        return True

    def _advance(self) -> None:
        if self.progress is not None:
            self.progress.advance(self.line)

    def _say_loss(self, runner) -> None:
        if self.training and runner.iter > self.begun:
            iterations = isinstance(runner.train_loop, IterBasedTrainLoop)
            place = f'iteration {runner.iter}' if iterations else f'epoch {runner.epoch + 1}/{runner.max_epochs}'
            self._say(place, dict(loss=runner.message_hub.get_scalar('train/loss').mean(runner.iter - self.begun)))
            self.begun = runner.iter

    def _say(self, words: str, metrics: dict | None) -> None:
        if self.progress is not None:
            self.progress.console.print(Text(f'{words}: {figures(metrics or {})}'))

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
        for handler, level, stream in self.handlers:
            handler.setLevel(level)
            handler.setStream(stream)
        self.handlers = []
