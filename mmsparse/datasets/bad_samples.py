"""What a data set does with a sample that cannot be read: replace it in training, let it count as wrong in testing."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from mmengine.logging import print_log

from mmsparse.errors import InputError
from mmsparse.utils.value_checks import is_number

KEY = 'bad_sample'  # of a sample's metainfo: the sentence that says why it could not be read


class GuardedSamples:
    """Mixin for data sets of mmpretrain, before the base class: bad samples do not end a run of hours, nor get lost.

    A sample is bad when its pipeline raises `InputError`. In training the next one in the order of the list that has
    the same label takes its place, a choice that no worker and no moment changes; in testing it is an input of zeros
    with its own label, and `mmsparse.BadSamplesHook` lets the answer count as wrong. Either carries the reason in its
    metainfo as ``bad_sample``, from where the hook names, counts and lists it, across workers and processes. Without
    the hook each is a warning.

    Args:
        max_bad: share of the samples that may be bad; one always may.
        args, kwargs: of the base class.

    Raises:
        InputError: more are bad, or no sample with this label can be read.
    """

    def __init__(self, *args, max_bad: float = 0.001, **kwargs):
        if not (is_number(max_bad) and 0 <= max_bad < 1):
            raise InputError(
                f'{type(self).__name__}: received max_bad={max_bad!r}, expected the share of samples that may be '
                'unreadable, in [0, 1), such as 0.001.'
            )
        self.max_bad, self.bad, self.hooked = max_bad, {}, False
        super().__init__(*args, **kwargs)

    @property
    def most_bad(self) -> int:
        """How many samples may be bad."""
        return max(1, math.floor(self.max_bad * len(self)))

    def prepare_data(self, idx: int) -> dict:
        """Return what the pipeline makes of a sample, or of the one in its place."""
        try:
            return super().prepare_data(idx)
        except InputError as error:
            self._note(idx, str(error))
        replacement = self._replacement(idx)
        if self.test_mode:
            label = self.get_data_info(idx).get('gt_label')
            replacement['inputs'] = torch.zeros_like(replacement['inputs'])
            if label is not None:
                replacement['data_samples'].set_gt_label(label)
        replacement['data_samples'].set_metainfo({'sample_idx': idx, KEY: self.bad[idx]})
        return replacement

    def _note(self, idx: int, reason: str) -> None:
        if idx not in self.bad and not self.hooked:
            print_log(f'Bad sample {len(self.bad) + 1}: {reason}', logger='current', level=logging.WARNING)
        self.bad[idx] = reason
        refuse_too_many(self.bad.values(), self)

    def _replacement(self, idx: int) -> dict:
        """Return the next sample that can be read; of the same label, unless it only lends its shape."""
        labels = np.asarray(self.get_gt_labels())
        same = np.ones(len(self), bool) if self.test_mode else labels == labels[idx]
        for other in np.flatnonzero(np.roll(same, -idx - 1)):
            other = int(other + idx + 1) % len(self)
            if other in self.bad:
                continue
            try:
                return super().prepare_data(other)
            except InputError as error:
                self._note(other, str(error))
        raise InputError(f'{self.bad[idx]} No other sample can take its place.')


def refuse_too_many(reasons, dataset: GuardedSamples) -> None:
    """Stop where more samples are bad than may be.

    Raises:
        InputError: says how many, and what the last one was.
    """
    reasons = list(reasons)
    if len(reasons) > dataset.most_bad:
        raise InputError(
            f'{len(reasons)} of {len(dataset):,} samples cannot be read, more than the {dataset.most_bad} that '
            f'max_bad={dataset.max_bad:g} allows. The last one: {reasons[-1]} Mend the data, or set max_bad of the '
            'dataset higher.'
        )
