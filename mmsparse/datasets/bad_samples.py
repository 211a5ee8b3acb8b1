"""What a data set does with a sample that cannot be read: replace it in training, let it count as wrong in testing."""

from __future__ import annotations

import logging
import math
from functools import cache

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mmsparse.datasets.checked_load import checked
from mmsparse.errors import InputError
from mmsparse.utils.value_checks import is_number

MAX_BAD = 0.001  # share of the samples
KEY = 'bad_sample'  # of a sample's metainfo: the sentence that says why it could not be read


class GuardedSamples(Dataset):  # of torch, as its base class: `guard` can change the class of what is there
    """Mixin for data sets of MMEngine, before the base class: bad samples do not end a run of hours, nor get lost.

    A sample is bad when its pipeline raises `InputError` or `OSError`. In training the next one in the order of the
    list that has the same label takes its place (any one, where samples have no single label), a choice that no worker
    and no moment changes; in testing it is an input of zeros with its own label, and `mmsparse.BadSamplesHook` lets
    the answer count as wrong. Either carries the reason in its metainfo as ``bad_sample``, from where the hook names,
    counts and lists it, across workers and processes. Without the hook each is a warning.

    Args:
        max_bad: share of the samples that may be bad; one always may.
        args, kwargs: of the base class.

    Attributes:
        bad: reasons by index, of what this process has met.
        hooked: whether the hook names them.
        judged: whether answers are scored, in whatever mode the data set is.

    Raises:
        InputError: more are bad, or no sample with this label can be read.
    """

    def __init__(self, *args, max_bad: float = MAX_BAD, **kwargs):
        self.begin(max_bad)
        super().__init__(*args, **kwargs)

    def begin(self, max_bad: float) -> None:
        """Note that nothing is known to be bad."""
        if not (is_number(max_bad) and 0 <= max_bad < 1):
            raise InputError(
                f'{type(self).__name__}: received max_bad={max_bad!r}, expected the share of samples that may be '
                'unreadable, in [0, 1), such as 0.001.'
            )
        self.max_bad, self.bad, self.hooked, self.judged = max_bad, {}, False, False

    @property
    def most_bad(self) -> int:
        """How many samples may be bad."""
        return max(1, math.floor(self.max_bad * len(self)))

    def prepare_data(self, idx: int) -> dict:
        """Return what the pipeline makes of a sample, or of the one in its place."""
        fine, sample = self._try(super().prepare_data, idx)
        if fine:
            return sample
        info = self.get_data_info(idx)
        item = self._replacement(super().prepare_data, idx, info.get('gt_label'))
        named = dict(sample_idx=idx, **{KEY: self.bad[idx]})
        views = item['data_samples'] if isinstance(item['data_samples'], list) else [item['data_samples']]
        if self.test_mode or self.judged:
            inputs = item['inputs']
            item['inputs'] = [*map(torch.zeros_like, inputs)] if isinstance(inputs, list) else torch.zeros_like(inputs)
            if 'img_path' in info:
                named['img_path'] = info['img_path']
            for view in views if info.get('gt_label') is not None else ():
                view.set_gt_label(info['gt_label'])
        for view in views:
            view.set_metainfo(named)
        return item

    def _try(self, prepare, idx: int) -> tuple[bool, dict | None]:
        """Return whether a sample is fine, and the sample; note why not."""
        try:
            return True, prepare(idx)
        except (InputError, OSError) as error:
            path = self.get_data_info(idx).get('img_path', f'sample {idx}')
            reason = str(error if isinstance(error, InputError) else InputError(f'{path}: {error}.'))
        if idx not in self.bad and not self.hooked:
            print_log(f'Bad sample {len(self.bad) + 1}: {reason}', logger='current', level=logging.WARNING)
        self.bad[idx] = reason
        refuse_too_many(self.bad.values(), self)
        return False, None

    def _replacement(self, prepare, idx: int, label) -> dict:
        """Return the next sample that can be read; of the same label, unless it only lends its shape.

        Those that are known to be bad are tried again, so that all draw the same numbers before, in whatever process.
        """
        one_of_class = not (self.test_mode or self.judged) and np.ndim(label) == 0
        for step in range(1, len(self)):
            other = (idx + step) % len(self)
            if one_of_class and self.get_data_info(other).get('gt_label') != label:
                continue
            _, sample = self._try(prepare, other)
            if isinstance(sample, dict) and 'data_samples' in sample:
                return sample
        raise InputError(f'{self.bad[idx]} No other sample can take its place.')


def guard(dataset: BaseDataset) -> None:
    """Let a data set of any class treat bad samples as `GuardedSamples` do, its loader's errors included."""
    if isinstance(dataset, BaseDataset) and not isinstance(dataset, GuardedSamples):
        dataset.pipeline.transforms = [checked(step) for step in dataset.pipeline.transforms]
        dataset.__class__ = _guarded(type(dataset))
        dataset.begin(MAX_BAD)


@cache
def _guarded(kind: type) -> type:
    made = type(kind.__name__, (GuardedSamples, kind), dict(__module__=kind.__module__, __doc__=kind.__doc__))
    made.__reduce_ex__ = lambda self, protocol: (_new, (kind,), vars(self))  # nothing can be imported by its name
    return made


def _new(kind: type) -> GuardedSamples:
    made = _guarded(kind)
    return made.__new__(made)


def refuse_too_many(reasons, *datasets: GuardedSamples) -> None:
    """Stop where more samples are bad than may be.

    Raises:
        InputError: says how many, and what the last one was.
    """
    reasons, most = list(reasons), sum(dataset.most_bad for dataset in datasets)
    if len(reasons) > most:
        raise InputError(
            f'{len(reasons)} of {sum(map(len, datasets)):,} samples cannot be read, more than the {most} that '
            f'max_bad={datasets[0].max_bad:g} allows. The last one: {reasons[-1]} Mend the data, or set max_bad of '
            'the dataset or default_hooks.bad_samples.max_bad higher.'
        )
