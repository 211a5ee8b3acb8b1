"""What hooks that need a certain model share."""

from mmengine.hooks import Hook
from torch import nn


class ModelHook(Hook):
    """Base of the hooks that act on parts of the model; `mmsparse.SparseRunner` asks before it builds a loader."""

    def check(self, runner) -> list[nn.Module]:
        """Return the parts to act on.

        Raises:
            InputError: the model has none that this hook can act on.
        """
        raise NotImplementedError
