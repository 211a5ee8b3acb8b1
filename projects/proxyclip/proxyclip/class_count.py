"""Words and data that disagree on the classes are found before the first image."""

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from mmsparse.engine.data_check import label_map_faults
from mmsparse.errors import InputError, refuse
from mmsparse.registry import HOOKS
from mmsparse.state.saved_tensors import unwrapped


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Compare the number of classes of a ProxyCLIP with that of every data set that the run will use.

    Raises:
        InputError: the numbers differ, or a class of the data stands at another place among the words.
    """

    def before_run(self, runner) -> None:
        """The loops are built by now."""
        vocabulary = unwrapped(runner.model).vocabulary
        ours = vocabulary.classes
        for split, loop in {
            'training': runner._train_loop,
            'validation': runner._val_loop,
            'test': runner._test_loop,
        }.items():
            if not isinstance(loop, BaseLoop):
                continue
            dataset = loop.dataloader.dataset
            theirs = dataset.metainfo['classes']
            if len(theirs) != len(ours):
                raise InputError(
                    f'model.classes names {len(ours)} classes ({_some(ours)}), but the {split} data '
                    f'({type(dataset).__name__}) has {len(theirs)} ({_some(theirs)}). Give one class per class of the '
                    'data, in its order.'
                )
            words = [
                {query.casefold() for query, of in zip(vocabulary.queries, vocabulary.query_class) if of == index}
                for index in range(len(ours))
            ]
            for index, name in enumerate(theirs):
                elsewhere = [other for other, synonyms in enumerate(words) if name.casefold() in synonyms]
                if elsewhere and index not in elsewhere:
                    raise InputError(
                        f'model.classes names {name!r} as class {elsewhere[0]}, but in the {split} data '
                        f'({type(dataset).__name__}) it is class {index}. Give the classes in the order of the data.'
                    )

    def _before_iter(self, runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        """Look at the label maps of a batch."""
        refuse(label_map_faults(data_batch, len(unwrapped(runner.model).vocabulary.classes)))


def _some(names) -> str:
    return ', '.join(names[:3]) + (' …' if len(names) > 3 else '')
