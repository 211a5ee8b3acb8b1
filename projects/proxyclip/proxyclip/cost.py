"""What a window costs, by part: traced from what runs, without computing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from operator import attrgetter

import torch
from mmengine.registry import DefaultScope
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmsparse.analysis.fixed_rate import on_all_rows
from mmsparse.models.backbones import SparseViT
from mmsparse.models.necks.dyt import DyTDispatcher
from mmsparse.registry import MODELS


@dataclass(frozen=True)
class WindowCost:
    """Multiply-adds of one window; norms, sums and softmax are not counted.

    Args:
        clip: CLIP's visual tower: all blocks but the last, that block's values and output projection.
        vfm: the proxy.
        attention: the proxy attention: cosines, and the product with the values.
        texts: the projection to their space, and the comparison with them.
        tunable: parameters that train.
    """

    clip: int
    vfm: int
    attention: int
    texts: int
    tunable: int = 0

    @property
    def total(self) -> int:
        """All parts together."""
        return self.clip + self.vfm + self.attention + self.texts


def window_cost(model: Mapping, window: int | tuple[int, int] | None = None) -> WindowCost:
    """Count one window of a ProxyCLIP; counts do not depend on weights, so none are loaded. DyT's cost is nominal: its
    rate of the patches enters every FFN.

    Args:
        model: its config.
        window: pixels of the window, or (height, width); None: the config's.
    """
    hosts = {part: dict(model[part], host=dict(model[part]['host'], checkpoint=False)) for part in ('backbone', 'vfm')}
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        net = MODELS.build(dict(model, **hosts)).eval()
    window = net.window if window is None else window
    size = (window, window) if isinstance(window, int) else window
    tunable, skipped = sum(p.numel() for p in net.parameters() if p.requires_grad), _skipped(net.backbone, size)
    counts = traced(net, size)
    vfm, attention, texts = (counts[f'ProxyCLIP.{name}'] for name in ('vfm', 'backbone.readout.attention', 'texts'))
    return WindowCost(counts['Global'] - vfm - attention - texts - skipped, vfm, attention, texts, tunable)


def _skipped(backbone: SparseViT, size: tuple[int, int]) -> int:
    """Let a dispatcher send all patches into every FFN; return the multiply-adds of those that stay away at its rate.

    The last block, which the readout replaces, is none of the view's.
    """
    view, skipped = backbone.view, 0
    for part in backbone.sparsifiers:
        if isinstance(part, DyTDispatcher):
            part.plan = on_all_rows(part.plan)
            for block in view.blocks:
                ffn = sum(attrgetter(view.parts[name])(block).weight.numel() for name in ('fc1', 'fc2'))
                skipped += round((1 - part.rate) * prod(view.divide(*size)) * ffn)
    return skipped


def traced(net: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    """Return the multiply-adds of one image by module, 'Global' for all; the weights of the network are lost.

    Args:
        net: built on the meta device.
        size: pixels (height, width).
    """
    counter = FlopCounterMode(display=False, depth=4)
    # Fake tensors run every operator's shape rule; the meta device would refuse autocast. The fused kernel has no
    # formula on a CPU.
    with FakeTensorMode(allow_non_fake_inputs=True), sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        net.to_empty(device='cpu')
        with counter:
            net(torch.empty(1, 3, *size))
    return {name: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}
