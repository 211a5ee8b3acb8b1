"""BitFit: train the host's biases (Ben Zaken et al., ACL 2022, arXiv 2106.10199)."""

from __future__ import annotations

from mmsparse.models.adapters.base import BaseAdapter
from mmsparse.registry import MODELS


@MODELS.register_module()
class BitFit(BaseAdapter):
    """Every bias of the host trains: patch projection, norms, attention, FFN, final norm. Nothing is added, so there
    is nothing to fold.

    Args:
        view: the host's view.
    """

    folds = token_wise = True

    def trains(self, key: str) -> bool:
        """Every key that ends in bias, in_proj_bias of a fused attention too."""
        return key.endswith('bias')
