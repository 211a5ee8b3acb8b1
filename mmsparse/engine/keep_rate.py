"""What the schedules of keep rates share."""

from torch import nn

from mmsparse.errors import InputError
from mmsparse.models import BaseSparsifier


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
