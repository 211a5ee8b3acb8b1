"""What the schedules of keep rates share."""

from collections.abc import Iterator

from mmsparse.engine.hooks.model_hook import ModelHook
from mmsparse.errors import refuse
from mmsparse.models.necks.base import BaseSparsifier


class KeepRateHook(ModelHook):
    """Base of the schedules; acts on every sparsifier that has one ``keep_rate``.

    Attributes:
        schedules: the part and its argument that the hook changes; ``--cfg-options`` with another part drop the hook.
    """

    schedules = 'sparsifier.keep_rate'

    def check(self, runner) -> list[BaseSparsifier]:
        """Return the sparsifiers to act on.

        Raises:
            InputError: the first of `faults`.
        """
        refuse(f'{type(self).__name__}: {fault}' for fault in self.faults(runner))
        return [part for part in _sparsifiers(runner) if hasattr(part, 'keep_rate')]

    def faults(self, runner) -> Iterator[str]:
        """Say, without data, why the schedule cannot act: no sparsifier with one keep rate, or a second schedule."""
        if not any(hasattr(part, 'keep_rate') for part in _sparsifiers(runner)):
            have = ', '.join(type(part).__name__ for part in _sparsifiers(runner)) or 'no sparsifier'
            yield (
                f'the model has {have}; expected a sparsifier with one keep_rate, such as mmsparse.EViT. Leave the '
                'hook out or use such a one.'
            )
        if others := [
            type(hook).__name__ for hook in runner.hooks if isinstance(hook, KeepRateHook) and hook is not self
        ]:
            yield (
                f"it and {' and '.join(others)} overwrite each other's keep rates. Leave all but one of these hooks "
                'out.'
            )


def _sparsifiers(runner) -> list[BaseSparsifier]:
    return [part for part in runner.model.modules() if isinstance(part, BaseSparsifier)]
