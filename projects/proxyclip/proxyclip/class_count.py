"""Words and data that disagree on the classes are found before the first image."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from mmsparse.errors import InputError
from mmsparse.registry import HOOKS


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Compare the number of classes of a ProxyCLIP with that of every data set that the run will use.

    Raises:
        InputError: the numbers differ.
    """

    def before_run(self, runner) -> None:
        """The loops are built by now."""
        model = getattr(runner.model, 'module', runner.model)
        ours = model.vocabulary.classes
        for split, loop in {'training': runner._train_loop, 'validation': runner._val_loop, 'test': runner._test_loop}.items():
            if not isinstance(loop, BaseLoop):
                continue
            dataset = loop.dataloader.dataset
            theirs = dataset.metainfo['classes']
            if len(theirs) != len(ours):
                raise InputError(
                    f'model.classes names {len(ours)} classes ({_some(ours)}), but the {split} data ({type(dataset).__name__}) has {len(theirs)} '
                    f'({_some(theirs)}). Give one class per class of the data, in its order.'
                )


def _some(names) -> str:
    return ', '.join(names[:3]) + (' …' if len(names) > 3 else '')
