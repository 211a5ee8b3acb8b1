"""MMEngine's training loops, which go on at any batch at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.runner import BaseLoop, EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from mmsparse.engine.exact_data import SeededBatches
from mmsparse.errors import InputError
from mmsparse.registry import LOOPS

EXACT = {'EpochBasedTrainLoop': 'mmsparse.EpochLoop', 'IterBasedTrainLoop': 'mmsparse.IterationLoop'}


@LOOPS.register_module()
class EpochLoop(EpochBasedTrainLoop):
    """Training by epochs.

    Attributes:
        batch: batches of the present epoch that have been trained.
    """

    batch = 0

    def run_epoch(self) -> None:
        """Train an epoch, or what a resumed run has left of it."""
        if self.batch:
            self.dataloader.batch_sampler.enter(self.batch)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        for index, data_batch in enumerate(self.dataloader, self.batch):
            self.batch = index + 1  # a state that this iteration saves has trained it
            self.run_iter(index, data_batch)
        self.batch = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class IterationLoop(IterBasedTrainLoop):
    """Training by iterations."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(self.dataloader.batch_sampler, SeededBatches):
            self.dataloader_iterator = Rounds(self.dataloader)


class Rounds:
    """Batches without end, round after round through the data; `skip_iter` begins anywhere. MMEngine's own pauses two
    seconds between rounds, and loads what it passes over unless the sampler is endless.
    """

    def __init__(self, loader: DataLoader):
        self.loader, self.epoch, self.batches = loader, 0, None

    def skip_iter(self, number: int) -> None:
        """Begin at a batch."""
        if not self.loader.batch_sampler.endless:
            self.epoch, number = divmod(number, len(self.loader))
        self.loader.batch_sampler.enter(number)

    def __next__(self) -> Any:
        try:
            self.batches = self.batches or self._round()
            return next(self.batches)
        except StopIteration:
            self.epoch += 1
            self.batches = self._round()
            return next(self.batches)

    def _round(self) -> Iterator:
        if hasattr(self.loader.sampler, 'set_epoch'):
            self.loader.sampler.set_epoch(self.epoch)
        return iter(self.loader)


def exact(loop: dict) -> dict:
    """Return the settings of a training loop, in the place of one of MMEngine's that of this file."""
    kind = loop.get('type')
    if kind is None and 'by_epoch' in loop:
        kind = 'EpochBasedTrainLoop' if loop['by_epoch'] else 'IterBasedTrainLoop'
        loop = {key: value for key, value in loop.items() if key != 'by_epoch'}
    name = (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]
    return {**loop, 'type': EXACT[name]} if name in EXACT else loop


def position(loop: BaseLoop) -> dict[str, int]:
    """Return where in its epoch a loop is: batches trained, of how many."""
    return dict(batch=loop.batch, batches=len(loop.dataloader)) if isinstance(loop, EpochLoop) else {}


def go_on(loop: BaseLoop, meta: Mapping, path: str) -> None:
    """Let a loop go on where a state was saved.

    Raises:
        InputError: in the middle of an epoch that has other batches now, or in a loop that cannot begin there.
    """
    loop._epoch, loop._iter = meta['epoch'], meta['iter']
    batch, batches = meta.get('batch', 0), meta.get('batches')
    if not batch or isinstance(loop, IterBasedTrainLoop):
        return
    if not isinstance(loop, EpochLoop) or batches != len(loop.dataloader):
        raise InputError(
            f'{path}: saved behind batch {batch} of {batches} of an epoch, received a {type(loop).__name__} with '
            f'{len(loop.dataloader)}. Set train_cfg, train_dataloader and the number of processes as they were, or '
            'resume from the end of an epoch.'
        )
    loop.batch = batch
