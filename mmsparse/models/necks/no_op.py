"""No reduction: the other end of the scale, through the same path as every method."""

from __future__ import annotations

from mmsparse.models.hosts.views.view import View
from mmsparse.models.necks.base import BaseSparsifier
from mmsparse.models.ops.attention import Probe
from mmsparse.registry import MODELS
from mmsparse.structures import Plan, Tokens


@MODELS.register_module()
class NoOp(BaseSparsifier):
    """Ask at every layer, change nothing."""

    moves_rows = False

    def __init__(self, view: View):
        super().__init__()
        self.layers = tuple(range(1, view.depth + 1))

    def plan(self, layer: int, tokens: Tokens, probe: Probe | None) -> Plan | None:
        """Every token stays."""
        return Plan.stay(tokens)
