"""Random reduction: the reference that every informed method has to beat."""

from __future__ import annotations

import torch

from mmsparse.models.necks.base import KeepRateSparsifier, kept
from mmsparse.models.ops.attention import Probe
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens


@MODELS.register_module()
class RandomDrop(KeepRateSparsifier):
    """Keep ceil(rate·n) of the n present patch tokens at some layers; one draw per layer for all images, another in
    every training step.

    In evaluation the draw depends on the layer and the number of tokens alone, so that a batch equals its images one
    by one.

    Args:
        view: the host's view.
        layers: where to reduce, counted from 1.
        keep_rate: share of the present patches that stay, in (0, 1].
    """

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Draw the survivors; they keep their order."""
        keep = kept(tokens.patches, self.keep_rate)
        if layer not in self.layers or keep == tokens.patches:
            return None
        generator = None if self.training else torch.Generator().manual_seed(layer)
        keep_k = torch.randperm(tokens.patches, generator=generator)[:keep].sort().values
        return Plan.keep(tokens, keep_k.to(tokens.x_bnc.device))
