"""DyT's adapter, which the tokens that skip the FFN pass too (Zhao et al., NeurIPS 2024, arXiv 2403.11808)."""

from __future__ import annotations

from mmsparse.models.adapters.adaptformer import AdaptFormer
from mmsparse.registry import MODELS


@MODELS.register_module()
class DyTAdapter(AdaptFormer):
    """AdaptFormer's bottleneck where DyT has it: ``x + M ⊙ FFN(norm x) + adapter(x)``, for all tokens (sec. 3.2).

    Arguments and initialisation are AdaptFormer's: width 64, scale .1 and dropout .1 on whole image sets; width 8,
    scale 1 on VTAB-1K. Without `mmsparse.DyTDispatcher` it is AdaptFormer.
    """
