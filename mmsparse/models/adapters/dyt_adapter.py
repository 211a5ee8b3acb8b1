"""DyT's adapter: what every row passes while `mmsparse.DyTDispatcher` lets some skip the FFN (Zhao et al., NeurIPS 2024, arXiv 2403.11808)."""

from __future__ import annotations

from mmsparse.models.adapters.adaptformer import AdaptFormer
from mmsparse.registry import MODELS


@MODELS.register_module()
class DyTAdapter(AdaptFormer):
    """AdaptFormer's bottleneck in the place that DyT gives it: ``x + M ⊙ FFN(norm x) + adapter(x)``, rows of every kind (sec. 3.2).

    Arguments and initialisation are AdaptFormer's: width 64, scale .1 and dropout .1 on whole image sets; width 8, scale 1 on VTAB-1K. Without
    the dispatcher it is AdaptFormer.
    """
