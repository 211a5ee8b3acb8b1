"""Samples that could not be read: counted over all workers and processes, scored as wrong, listed at the end."""

from __future__ import annotations

from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmsparse.datasets.bad_samples import KEY, GuardedSamples, refuse_too_many
from mmsparse.engine.data_check import leaves
from mmsparse.registry import HOOKS

LISTED = 20  # lines of a report


@HOOKS.register_module()
class BadSamplesHook(Hook):
    """Say which samples a run could not read, once each, and stop when they are more than the data set allows.

    Data sets that are `GuardedSamples` replace such a sample and say so in its metainfo. In validation and testing the
    answer to it is made wrong before any metric sees it. Processes compare notes after every epoch.

    Raises:
        InputError: more than `max_bad` of a data set.
    """

    def __init__(self):
        self.bad: dict[str, dict[int, str]] = {'train': {}, 'val': {}, 'test': {}}

    def before_train(self, runner) -> None:
        """Workers start after this, and need not warn themselves."""
        _hooked(runner.train_dataloader.dataset)

    def before_val(self, runner) -> None:
        """Runs before the loader's workers start."""
        _hooked(runner.val_dataloader.dataset)
        _guard(runner.val_evaluator)

    def before_test(self, runner) -> None:
        """Runs before the loader's workers start."""
        _hooked(runner.test_dataloader.dataset)
        _guard(runner.test_evaluator)

    def _after_iter(self, runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        for sample in data_batch['data_samples'] if isinstance(data_batch, dict) else ():
            reason = sample.get(KEY) if hasattr(sample, 'get') else None
            if reason and sample.sample_idx not in self.bad[mode]:
                self.bad[mode][sample.sample_idx] = reason
                runner.logger.warning(f'Bad sample {len(self.bad[mode])} of the {mode} data: {reason}')
                self._refuse(runner, mode)

    def _after_epoch(self, runner, mode: str = 'train') -> None:
        for others in all_gather_object(self.bad[mode]):
            self.bad[mode] |= others
        self._refuse(runner, mode)
        if mode == 'test':
            self._report(runner, mode)

    def after_train(self, runner) -> None:
        """Report on training and validation."""
        self._report(runner, 'train')
        self._report(runner, 'val')

    def _refuse(self, runner, mode: str) -> None:
        dataset = getattr(runner, f'{mode}_dataloader').dataset
        guarded = [leaf for leaf in leaves(dataset) if isinstance(leaf, GuardedSamples)]
        if len(guarded) == 1:
            refuse_too_many(self.bad[mode].values(), guarded[0])

    def _report(self, runner, mode: str) -> None:
        if found := self.bad[mode]:
            done = 'replaced' if mode == 'train' else 'scored as wrong'
            rows = [f'  {reason}' for _, reason in sorted(found.items())]
            more = [f'  … and {len(rows) - LISTED} more, in the log'] if len(rows) > LISTED else []
            text = '\n'.join(
                [f'{len(rows)} samples of the {mode} data could not be read and were {done}:', *rows[:LISTED]]
            )
            runner.logger.warning('\n'.join([text, *more]))


def _hooked(dataset) -> None:
    for leaf in leaves(dataset):
        if isinstance(leaf, GuardedSamples):
            leaf.hooked = True


def _guard(evaluator: Evaluator) -> None:
    """Let an evaluator see wrong answers to bad samples."""
    if getattr(evaluator.process, 'guarded', False):
        return
    process = evaluator.process

    def guarded(data_samples, data_batch=None) -> None:
        for sample in data_samples:
            if sample.get(KEY):
                _make_wrong(sample)
        process(data_samples, data_batch)

    guarded.guarded = True
    evaluator.process = guarded


def _make_wrong(sample) -> None:
    """Give the true class the lowest score of all."""
    scores = sample.pred_score.clone()
    truth = sample.gt_label.to(scores.device)
    scores[truth] = scores.min() - 1
    sample.set_pred_score(scores).set_pred_label(scores.argmax(keepdim=True))
