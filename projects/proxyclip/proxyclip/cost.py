"""What a window costs, by part: traced from what runs, without computing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.registry import DefaultScope
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmsparse.registry import MODELS


@dataclass(frozen=True)
class WindowCost:
    """Multiply-adds of one window; norms, sums and softmax are not counted.

    Args:
        clip: CLIP's visual tower: all blocks but the last, that block's values and output projection.
        vfm: the proxy.
        attention: the proxy attention: cosines, and the product with the values.
        texts: the projection to their space, and the comparison with them.
    """

    clip: int
    vfm: int
    attention: int
    texts: int

    @property
    def total(self) -> int:
        """All parts together."""
        return self.clip + self.vfm + self.attention + self.texts


def window_cost(model: Mapping, window: int | tuple[int, int] | None = None) -> WindowCost:
    """Count one window of a ProxyCLIP; counts do not depend on weights, so none are loaded.

    Args:
        model: its config.
        window: pixels of the window, or (height, width); None: the config's.
    """
    hosts = {part: dict(model[part], host=dict(model[part]['host'], checkpoint=False)) for part in ('backbone', 'vfm')}
    with DefaultScope.overwrite_default_scope('mmseg'), torch.device('meta'):
        net = MODELS.build(dict(model, **hosts)).eval()
    window = net.window if window is None else window
    counts = traced(net, (window, window) if isinstance(window, int) else window)
    vfm, attention, texts = (counts[f'ProxyCLIP.{name}'] for name in ('vfm', 'backbone.readout.attention', 'texts'))
    return WindowCost(counts['Global'] - vfm - attention - texts, vfm, attention, texts)


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
