"""MMEngine's CheckpointHook, in an order that loses nothing: an old state goes when its successor is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from numbers import Number
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.runner import EpochBasedTrainLoop

from mmsparse.engine.loops import position
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError, refuse
from mmsparse.registry import HOOKS
from mmsparse.state.card import read_card
from mmsparse.state.folder import CARD, INTERRUPTED, point, remove


@HOOKS.register_module()
class CheckpointHook(MMEngineCheckpointHook):
    """Save states periodically and the best one, with MMEngine's options.

    A state's name has no suffix, because it is a folder. `last_checkpoint` is rewritten last and at once; then
    superseded states are removed, which the new state lists, so that a run killed in between removes them when it goes
    on. A validation that was due after the state that a run resumes from is made up for first.

    Args:
        interval, by_epoch, kwargs: as in MMEngine.
        filename_tmpl: name of a state with ``{}`` for the epoch or iteration; default 'epoch_{}' or 'iter_{}'.

    Raises:
        InputError: `published_keys` (a state's adapter files are what to publish), or a template with a folder in it.
    """

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        filename_tmpl: str | None = None,
        published_keys=None,
        **kwargs,
    ):
        tmpl = filename_tmpl or ('epoch_{}' if by_epoch else 'iter_{}')
        try:
            super().__init__(interval, by_epoch, filename_tmpl=tmpl, **kwargs)
        except (ValueError, KeyError) as error:
            raise InputError(
                f'CheckpointHook: {error.args[0].rstrip(".")}. Expected in save_best the name of a score, with '
                "rule='greater' or rule='less' where "
                'it does not tell which is better.'
            ) from error
        refuse(f'CheckpointHook: received {fault}' for fault in _argument_faults(tmpl, published_keys, self.args))
        self.superseded: list[str] = []

    def before_run(self, runner) -> None:
        """Refuse a runner whose checkpoints nothing here reads: pickles of the whole network.

        Raises:
            InputError: it is not `mmsparse.SparseRunner`.
        """
        if not isinstance(runner, SparseRunner):
            raise InputError(
                f"mmsparse.CheckpointHook: received MMEngine's {type(runner).__name__}, which writes no states. Build "
                'the runner by '
                'mmsparse.SparseRunner.from_cfg(cfg), or by RUNNERS.build(cfg) as tools/train.py does.'
            )

    def before_train(self, runner) -> None:
        hub, resumed = runner.message_hub, runner.iter > 0
        if resumed:
            steps = [step for step in hub.get_info('keep_ckpt_ids', []) if isinstance(step, int)]
            kept = steps[-self.max_keep_ckpts :] if self.max_keep_ckpts > 0 else steps
            hub.update_info('keep_ckpt_ids', kept)
            self.superseded += [
                *hub.get_info('superseded', []),
                *map(self.filename_tmpl.format, steps[: len(steps) - len(kept)]),
            ]
            self.last_ckpt = hub.get_info('last_ckpt')
        super().before_train(runner)
        self.file_backend = _Later(self.superseded)
        self._remove_superseded(runner)
        if (
            resumed
            and runner.val_loop is not None
            and hub.get_info('last_validated_iter') != runner.iter
            and _validation_is_due(runner)
        ):
            runner.val_loop.run()

    def after_val_epoch(self, runner, metrics) -> None:
        runner.score = (
            runner.iter,
            {key: float(value) for key, value in metrics.items() if isinstance(value, Number)},
        )
        runner.message_hub.update_info('last_validated_iter', runner.iter)
        super().after_val_epoch(runner, metrics)
        if self.last_ckpt is None:  # no state names the best one before this
            self._remove_superseded(runner)

    def after_train(self, runner) -> None:
        """Remove a state that was saved during the last validation, behind the last state: nothing follows it."""
        super().after_train(runner)
        if self.last_ckpt is not None and _iteration(Path(self.last_ckpt)) == runner.iter:
            self.superseded.append(INTERRUPTED)
            self._remove_superseded(runner)

    def _save_best_checkpoint(self, runner, metrics) -> None:
        """Rank only scores at the final keep rate: during its warm-up more tokens would win."""
        if not getattr(runner, 'provisional', False):
            super()._save_best_checkpoint(runner, metrics)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                self.superseded.append(self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self.last_ckpt = str(Path(self.out_dir) / self.filename_tmpl.format(step))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self.superseded.append(INTERRUPTED)
        runner.message_hub.update_info('superseded', list(self.superseded))
        runner.save_checkpoint(
            self.out_dir,
            Path(self.last_ckpt).name,
            file_client_args=self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            point(Path(runner.work_dir), Path(self.last_ckpt))
        self._remove_superseded(runner)

    def _remove_superseded(self, runner) -> None:
        """Remove states of this run's folder, never the last or best one; names may come from a file."""
        known = runner.message_hub.runtime_info.items()
        live = {Path(str(path)).name for key, path in known if key.startswith(('last_ckpt', 'best_ckpt'))}
        while self.superseded:
            name = self.superseded.pop()
            if is_main_process() and isinstance(name, str) and Path(name).name == name and name not in live:
                remove(Path(self.out_dir) / name)
        runner.message_hub.update_info('superseded', [])  # else `interrupted` would name itself, and go on resuming


def _iteration(state: Path) -> int | None:
    with suppress(InputError, OSError):
        return read_card(state / CARD).iter
    return None


def _argument_faults(tmpl: str, published_keys, unknown: dict) -> Iterator[str]:
    if published_keys is not None:
        yield 'published_keys, but a state needs no publishing: share its adapter.safetensors and adapter.json.'
    if Path(tmpl).name != tmpl or tmpl.startswith('.'):
        yield f"filename_tmpl={tmpl!r}, expected a plain name such as 'epoch_{{}}'."
    if unknown:  # MMEngine keeps it for the first state, and fails there
        yield f"{', '.join(unknown)}, expected arguments of MMEngine's: max_keep_ckpts, save_best, rule, save_begin, …"


class _Later(LocalBackend):
    """Notes what MMEngine's hook would remove too early, and whatever path a state names."""

    def __init__(self, noted: list[str]):
        self.noted = noted

    def rmtree(self, dir_path) -> None:
        self.noted.append(Path(dir_path).name)

    def remove(self, filepath) -> None:
        self.noted.append(Path(filepath).name)


def _validation_is_due(runner) -> bool:
    loop = runner.train_loop
    if position(loop).get('batch'):  # the epochs before had theirs, and these are other weights
        return False
    done, end = (
        (runner.epoch, runner.max_epochs) if isinstance(loop, EpochBasedTrainLoop) else (runner.iter, runner.max_iters)
    )
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
