"""A head and data that disagree on the classes are found before the first batch."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from mmsparse.errors import InputError
from mmsparse.registry import HOOKS


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare the head's ``num_classes`` with the class names of every data set that the run will use.

    mmpretrain's own check reads an attribute that its datasets no longer have, and asks about the validation data only after an epoch.

    Raises:
        InputError: the numbers differ.
    """

    def before_run(self, runner) -> None:
        """The loops are built by now and no weights are loaded yet, so a checkpoint for other classes does not hide the cause."""
        model = runner.model
        while hasattr(model, 'module'):  # distributed and test-time-augmentation wrappers
            model = model.module
        where = 'head' if hasattr(model, 'head') else 'decode_head'
        expected = getattr(getattr(model, where, None), 'num_classes', None)
        loops = {'training': runner._train_loop, 'validation': runner._val_loop, 'test': runner._test_loop}
        for split, loop in loops.items():
            if expected is None or not isinstance(loop, BaseLoop):
                continue
            dataset = loop.dataloader.dataset
            classes = getattr(dataset, 'metainfo', {}).get('classes')
            if classes is None:
                runner.logger.warning(f'The {split} data ({type(dataset).__name__}) names no classes, so their number is not checked.')
            elif len(classes) != expected:
                raise InputError(
                    f'model.{where}.num_classes is {expected}, but the {split} data ({type(dataset).__name__}) has {len(classes)} classes: '
                    f'{_some(classes)}. '
                    f'Set model.{where}.num_classes={len(classes)}, or use data with {expected} classes.'
                )


def _some(names) -> str:
    """Four names are enough to recognise a data set."""
    return ', '.join(map(str, names[:4])) + (' ...' if len(names) > 4 else '')
