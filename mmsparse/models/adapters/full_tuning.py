"""Full tuning: train the whole host, the reference that PEFT methods are measured by."""

from __future__ import annotations

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.registry import MODELS


@MODELS.register_module()
class FullTuning(BaseAdapter):
    """Everything in the host trains. Recipes use a tenth of the rate of PEFT methods; layer decay works as for
    mmpretrain's own ViT.

    Args:
        view: the host's view.
    """

    folds = token_wise = True

    def trains(self, key: str) -> bool:
        """Every key."""
        return True
