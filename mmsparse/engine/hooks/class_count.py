"""A head and data that disagree on the classes are found before the first batch."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch.nn import ModuleList

from mmsparse.engine.data_check import item_faults, label_faults, label_map_faults, name_faults, score_faults
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
                    f'The {split} data ({type(dataset).__name__}) names no classes, so their number is not checked.'
                )
            for where, expected in heads.items() if not free else ():
                refuse(label_faults(dataset, split, where, expected))
            known |= {} if classes is None else {split: tuple(classes)}
            refuse(item_faults(dataset, split))
        refuse(name_faults({} if free else known))
        if isinstance(runner._val_loop, BaseLoop):
            refuse(score_faults(runner))

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
