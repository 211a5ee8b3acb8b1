"""Samples that could not be read: counted over all workers and processes, scored as wrong, listed at the end."""

from __future__ import annotations

from itertools import chain

from mmengine.dist import all_gather_object
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmengine.structures import PixelData

from mmsparse.datasets.bad_samples import KEY, GuardedSamples, guard, refuse_too_many
from mmsparse.engine.data_check import leaves
from mmsparse.errors import InputError
from mmsparse.registry import HOOKS

LISTED = 20  # lines of a report


@HOOKS.register_module()
class BadSamplesHook(Hook):
    """Say which samples a run could not read, once each, and stop when they are more than the data set allows.

    Whatever data sets of MMEngine the config names become `GuardedSamples`, which replace such a sample and say so in
    its metainfo. In validation and testing the answer to it is made wrong before any metric sees it. Processes compare
    notes after every epoch.

    Args:
        max_bad: share of the samples of each data set that may be bad, one always may; None for what the data set
            says, else .001.

    Raises:
        InputError: more than `max_bad` of a data set.
    """

    priority = 'VERY_HIGH'  # before others look at a sample

    def __init__(self, max_bad: float | None = None):
        self.max_bad = max_bad
        self.bad: dict[str, dict[tuple[int, str], str]] = {'train': {}, 'val': {}, 'test': {}}

    def before_run(self, runner) -> None:
        """Guard what there is; workers start after this, and need not warn themselves."""
        for mode in self.bad:
            if isinstance(loop := getattr(runner, f'_{mode}_loop'), BaseLoop):
                self._hooked(loop.dataloader.dataset, mode)

    def before_train(self, runner) -> None:
        """As before the run."""
        self._hooked(runner.train_dataloader.dataset, 'train')

    def before_val(self, runner) -> None:
        """Runs before the loader's workers start."""
        self._hooked(runner.val_dataloader.dataset, 'val')
        _guard(runner.val_evaluator)

    def before_test(self, runner) -> None:
        """Runs before the loader's workers start."""
        self._hooked(runner.test_dataloader.dataset, 'test')
        _guard(runner.test_evaluator)

    def _hooked(self, dataset, mode: str) -> None:
        for leaf in leaves(dataset):
            guard(leaf)
            if isinstance(leaf, GuardedSamples) and not leaf.hooked:
                leaf.begin(leaf.max_bad if self.max_bad is None else self.max_bad)
                leaf.hooked, leaf.judged = True, mode != 'train'

    def _after_iter(self, runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
        for sample in chain.from_iterable(each if isinstance(each, list | tuple) else [each] for each in samples):
            reason = sample.get(KEY) if hasattr(sample, 'get') else None
            if not reason:
                continue
            key = (sample.sample_idx, reason.split(': ')[0])  # data sets that are joined have the same numbers
            if key not in self.bad[mode]:
                self.bad[mode][key] = reason
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
        if guarded:
            refuse_too_many(self.bad[mode].values(), *guarded)

    def _report(self, runner, mode: str) -> None:
        if found := self.bad[mode]:
            done = 'replaced' if mode == 'train' else 'scored as wrong'
            rows = [f'  {reason}' for _, reason in sorted(found.items())]
            more = [f'  … and {len(rows) - LISTED} more, in the log'] if len(rows) > LISTED else []
            text = '\n'.join(
                [f'{len(rows)} samples of the {mode} data could not be read and were {done}:', *rows[:LISTED]]
            )
            runner.logger.warning('\n'.join([text, *more]))


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
    """Give the true class the lowest score of all, or every pixel a class that it is not."""
    if 'pred_sem_seg' in sample and 'gt_sem_seg' in sample:
        truth_1hw = sample.gt_sem_seg.data.to(sample.pred_sem_seg.data.device)
        sample.pred_sem_seg = PixelData(data=(truth_1hw == 0).to(sample.pred_sem_seg.data.dtype))
        return
    if 'gt_label' not in sample:  # answers without a truth are no scores
        return
    if 'pred_score' not in sample:
        raise InputError(
            f'{sample.get(KEY)} The answers of this model have no score that could count as wrong. Mend the file, or '
            'take it out of the list.'
        )
    scores = sample.pred_score.clone()
    truth = sample.gt_label.to(scores.device)
    scores[truth] = scores.min() - 1
    sample.set_pred_score(scores).set_pred_label(scores.argmax(keepdim=True))
