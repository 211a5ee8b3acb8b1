"""Linear probe: train the head alone, the floor that PEFT methods are measured by."""

from __future__ import annotations

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.registry import MODELS


@MODELS.register_module()
class LinearProbe(BaseAdapter):
    """Nothing in the backbone trains; the same as no adapter, said in the config.

    Args:
        view: the host's view.
    """

    folds = token_wise = True
