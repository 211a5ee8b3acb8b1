"""A head and data that disagree on the classes are found before the first batch."""

import logging
from collections.abc import Iterator
from copy import deepcopy

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch.nn import ModuleList

from mmsparse.engine.data_check import item_faults, label_faults, label_map_faults, name_faults
from mmsparse.engine.random_state import random_state, set_random_state
from mmsparse.errors import refuse
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare heads with names and labels of every data set of the run; try pipelines and scores on one item.

    mmpretrain's own check reads an attribute that its datasets no longer have, and asks about the validation data only
    after an epoch.

    Raises:
        InputError: numbers, names or labels differ, a pipeline does not load the picture, or no score has the name
            that the best state is chosen by.
    """

    def before_run(self, runner) -> None:
        """No weights are loaded yet, so that a checkpoint for other classes does not hide the cause."""
        model = unwrapped(runner.model)
        heads, known, free = _heads(model), {}, getattr(model, 'open_vocabulary', False)
        loops = {'train': runner._train_loop, 'val': runner._val_loop, 'test': runner._test_loop}
        for split, loop in loops.items():
            if not isinstance(loop, BaseLoop):
                continue
            dataset = loop.dataloader.dataset
            classes = getattr(dataset, 'metainfo', {}).get('classes')
            if classes is None and heads:
                runner.logger.warning(
                    f'The {split} data ({dataset.__class__.__name__}) names no classes; their number is not checked.'
                )
            for where, expected in heads.items() if not free else ():
                refuse(label_faults(dataset, split, where, expected))
            known |= {} if classes is None else {split: tuple(classes)}
            refuse(item_faults(dataset, split))
        refuse(name_faults({} if free else known))
        if isinstance(runner._val_loop, BaseLoop):
            refuse(_score_faults(runner))

    def _before_iter(self, runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        """Look at the label maps of a batch, if it has any."""
        classes = getattr(getattr(unwrapped(runner.model), 'decode_head', None), 'num_classes', None)
        if classes:
            refuse(label_map_faults(data_batch, classes))


def _heads(model) -> dict[str, int]:
    """Classes of the head, and of mmseg's auxiliary heads where they learn from the same labels."""
    found = {name: getattr(model, name) for name in ('head', 'decode_head') if hasattr(model, name)}
    extra = getattr(model, 'auxiliary_head', None)
    for index, head in enumerate(extra if isinstance(extra, ModuleList) else [extra] if extra is not None else []):
        if type(head).loss_by_feat.__qualname__.startswith('BaseDecodeHead'):
            found['auxiliary_head' + (f'[{index}]' if isinstance(extra, ModuleList) else '')] = head
    return {
        name: head.num_classes for name, head in found.items() if isinstance(getattr(head, 'num_classes', None), int)
    }


def _score_faults(runner) -> Iterator[str]:
    """Say which `save_best` or `monitor` no validation will return: one item is evaluated where they name a score."""
    named = {'save_best': [key for hook in runner.hooks for key in getattr(hook, 'key_indicators', ())]}
    named['monitor'] = [hook.monitor for hook in runner.hooks if isinstance(getattr(hook, 'monitor', None), str)]
    wanted = [(option, key) for option, keys in named.items() for key in keys if key != 'auto']
    scores = _scores(runner) if wanted else []
    for option, key in wanted if scores else ():
        if key not in scores:
            yield f'{option}: received {key!r}, expected a score of val_evaluator: {", ".join(scores)}.'


def _scores(runner) -> list[str]:
    """Names of the scores of one item; none where one item is not enough."""
    loop, model, drawn = runner.val_loop, runner.model, random_state()
    training = model.training
    logging.disable(logging.ERROR)  # some metrics print a table
    try:
        with torch.no_grad():
            batch = loop.dataloader.collate_fn([loop.dataloader.dataset[0]])
            samples = [sample.to_dict() for sample in model.eval().val_step(batch)]
        names = []
        for metric in map(deepcopy, loop.evaluator.metrics):
            metric.process(batch, samples)
            names += [
                f'{metric.prefix}/{name}' if metric.prefix else name for name in metric.compute_metrics(metric.results)
            ]
        return names
    except Exception:
        return []
    finally:
        logging.disable(logging.NOTSET)
        model.train(training)
        set_random_state(drawn)
