"""timm's DeiT with a distillation token (Touvron et al., ICML 2021, arXiv 2012.12877)."""

from __future__ import annotations

from torch import Tensor

from mmsparse.models.hosts.views.timm import TimmView
from mmsparse.structures import Tokens


class DistilledView(TimmView):
    """A ``timm.models.deit.VisionTransformerDistilled``: the distillation token is a second token of the prefix."""

    model_types = ('timm.models.deit.VisionTransformerDistilled',)

    def pooled(self, t: Tokens) -> Tensor:
        """Return the mean of class and distillation token, B×C: two heads of the same weights would answer the mean of
        their answers."""
        return t.x_bnc[:, :2].mean(dim=1)
