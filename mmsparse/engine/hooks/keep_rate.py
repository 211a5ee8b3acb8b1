"""What the schedules of keep rates share."""

from mmengine.hooks import Hook
from torch import nn

from mmsparse.errors import InputError
from mmsparse.models.necks.base import BaseSparsifier


class KeepRateHook(Hook):
    """Base of the schedules; acts on every sparsifier that has one ``keep_rate``."""

    def check(self, runner) -> None:
        """Refuse what needs no data to be told; `mmsparse.SparseRunner` asks before it builds a loader.

        Raises:
            InputError: no sparsifier with a keep rate, or a second schedule.
        """
        rated(runner.model, type(self).__name__)
        names = [type(hook).__name__ for hook in runner.hooks if isinstance(hook, KeepRateHook)]
        if len(names) > 1:
            raise InputError(f"{' and '.join(names)} overwrite each other's keep rates. Leave all but one of these hooks out.")


def rated(model: nn.Module, asker: str) -> list[BaseSparsifier]:
    """Return the sparsifiers of a model that have one keep rate.

    Args:
        model: also in a distributed wrapper.
        asker: who asks, for the error.

    Raises:
        InputError: there is none.
    """
    sparsifiers = [part for part in model.modules() if isinstance(part, BaseSparsifier)]
    found = [part for part in sparsifiers if hasattr(part, 'keep_rate')]
    if not found:
        have = ', '.join(type(part).__name__ for part in sparsifiers) or 'no sparsifier'
        raise InputError(
            f'{asker}: the model has {have}; expected a sparsifier with one keep_rate, such as mmsparse.EViT. Leave the hook out or use such a one.'
        )
    return found
