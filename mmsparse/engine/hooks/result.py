"""What a finished run leaves for tables and pictures: one line of the format that all of them read."""

from __future__ import annotations

from math import isclose
from numbers import Number
from pathlib import Path
from statistics import mean

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from torch import Tensor, nn

from mmsparse.config.image_sets import RECIPES
from mmsparse.engine.hooks.start_card import image_size
from mmsparse.engine.precision import running
from mmsparse.evaluation import published_macs
from mmsparse.evaluation.model_input import input_shape
from mmsparse.models.backbones import SparseViT
from mmsparse.registry import HOOKS
from mmsparse.state.card import read_card
from mmsparse.state.folder import CARD
from mmsparse.state.saved_tensors import unwrapped
from mmsparse.visualization.result_file import FINISHED, TESTED, Result, write_results

SCORES = ('accuracy/top1', 'mIoU')  # of several metrics these are what tables print
NETWORKS = ('tiny', 'vits', 'vitb', 'vitl', 'vith')  # begin the names of configs
MOST = 16  # images whose cost is counted where it differs
PARTS = ('train', 'val', 'test', 'validation', 'images')  # folders that are called after a part, not after the data


@HOOKS.register_module()
class ResultHook(Hook):
    """Write result.csv beside the log of a training that came to its end, and tested.csv beside that of a test.

    The format is `mmsparse.visualization.result_file`; tools/analysis_tools/collect_results.py finds the files. Its
    method is the config's ``experiment_name`` where one is set, else the file's name without that of the data. A test
    has the seed of the state that it tests.
    """

    priority = 'VERY_LOW'

    def before_run(self, runner) -> None:
        self.metrics, self.seen = {}, None

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if batch_idx == 0:
            self.seen = data_batch

    after_test_iter = after_val_iter

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.metrics = metrics or {}

    def after_train(self, runner) -> None:
        if runner.rank == 0:
            iterations = isinstance(runner.train_loop, IterBasedTrainLoop)
            # resumed behind its last validation, a run has nothing left to do
            self.metrics = self.metrics or score_of(runner.message_hub.get_info('last_ckpt'))
            self._write(
                runner,
                FINISHED,
                runner.val_dataloader if runner.val_loop is not None else None,
                seed=runner.seed,
                best=best(runner, scored(self.metrics)),
                precision=running(runner.optim_wrapper).split(' ')[0],
                length=f'{runner.max_iters} iterations' if iterations else f'{runner.max_epochs} epochs',
            )

    def after_test_epoch(self, runner, metrics=None) -> None:
        self.metrics = metrics or {}
        if runner.rank == 0:
            self._write(runner, TESTED, runner.test_dataloader, seed=seed_of_state(runner))

    def _write(self, runner, name: str, loader, **entries) -> None:
        """Write the file, unless nothing was validated."""
        metric = scored(self.metrics)
        if metric is None or loader is None:
            return
        model, dataset = unwrapped(runner.model), dataset_name(loader.dataset)
        result = Result(
            method=runner.cfg.get('experiment_name') or method_name(runner.cfg.filename or 'run', dataset),
            dataset=dataset,
            score=float(self.metrics[metric]),
            metric=metric.split('/')[-1],
            gflops=gflops(model, self.seen),
            trainable_kib=sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad) / 1024,
            **entries,
        )
        write_results([result], Path(runner.log_dir) / name)


def scored(metrics: dict) -> str | None:
    """Return which of several metrics is the score."""
    numbers = [name for name, value in metrics.items() if isinstance(value, Number)]
    return next((name for name in (*SCORES, *numbers) if name in metrics), None)


def score_of(state: str | None) -> dict[str, float]:
    """Return the metrics on a state's card; none for a state that is not there."""
    card = Path(state or '') / CARD
    return read_card(card).score if card.is_file() else {}


def best(runner, metric: str | None) -> float | None:
    """Return the best score of any epoch, where states are ranked by that metric."""
    known = runner.message_hub.runtime_info
    score = score_of(known.get('best_ckpt')).get(metric)
    return score if score is not None and isclose(score, float(known['best_score'])) else None


def seed_of_state(runner) -> int:
    """Return the seed that the tested state was trained with; without a state the test's own."""
    card = Path(runner._load_from or '') / CARD
    randomness = read_card(card).config.get('randomness') if card.is_file() else None
    seed = (randomness or {}).get('seed')
    return runner.seed if seed is None else seed


def dataset_name(dataset) -> str:
    """Return what tables call a data set: its own `result_name`, metainfo's dataset_name, its folder, or its class."""
    inner = getattr(dataset, 'dataset', None) or next(iter(getattr(dataset, 'datasets', [])), None)
    if inner is not None:  # RepeatDataset, ConcatDataset and the like
        return dataset_name(inner)
    if name := getattr(dataset, 'result_name', None) or getattr(dataset, 'metainfo', {}).get('dataset_name'):
        return name
    if type(dataset).__name__ == 'CustomDataset' and dataset.data_root:
        root = Path(dataset.data_root)
        return (root.parent if root.name in PARTS else root).name
    return type(dataset).__name__.replace('Dataset', '')


def method_name(config: str | Path, dataset: str) -> str:
    """Return a config's name without that of its data, with its folder where the network's is all that is left.

    'vitb_lora' of peft/vitb_lora_cifar100.py, 'sparse_tuning_vitb' of sparse_tuning/vitb_cifar100.py.
    """
    words, data = Path(config).stem.split('_'), (plain(dataset), *RECIPES)  # `data=svhn` leaves the config its name
    for number in range(len(words) - 1, 0, -1):
        for rest, taken in ((words[:-number], words[-number:]), (words[number:], words[:number])):
            name = plain(''.join(taken))
            if len(name) > 2 and any(each.endswith(name) for each in data):
                return '_'.join([Path(config).parent.name, *rest] if rest[0] in NETWORKS and not rest[1:] else rest)
    return '_'.join(words)


def plain(name: str) -> str:
    """Return a name without what its spellings differ in: CIFAR-100, cifar100 and CIFAR100 are one."""
    return ''.join(letter for letter in name.lower() if letter.isalnum())


def gflops(model: nn.Module, batch) -> float | None:
    """Return the multiply-adds of one image in 1e9, as papers count; None for another network than a SparseViT.

    Where parts decide by image, it is the mean over images of the batch, at most MOST.
    """
    backbone = getattr(model, 'backbone', None)
    by_image = isinstance(backbone, SparseViT) and any(part.by_image for part in backbone.sparsifiers)
    if not isinstance(backbone, SparseViT):
        return None
    images = next(model.parameters()).new_zeros(input_shape(model, 1, *image_size(model)))
    if by_image:
        if batch is None or not all(isinstance(image, Tensor) for image in batch['inputs']):  # several views by --tta
            return None
        seen = model.data_preprocessor(batch)['inputs']
        if seen[0].shape != images[0].shape:  # whole pictures behind windows, clips of several views
            return None
        images = seen[:MOST]
    return mean(published_macs(model, image) for image in images.split(1)) / 1e9
