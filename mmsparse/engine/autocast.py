"""Mixed precision that also works on a CPU."""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper

from mmsparse.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run forward and loss under ``torch.autocast``; MMEngine's AmpOptimWrapper refuses CPUs.

    bfloat16 has float32's range, so no gradient scaler is needed; float16 would need one and is refused.

    Args:
        dtype: 'bfloat16', the only one so far; named so that configs say what runs.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs):
        super().__init__(**kwargs)
        if dtype != 'bfloat16':
            raise ValueError(
                f"AutocastOptimWrapper: received dtype={dtype!r}, expected 'bfloat16'. "
                "For float16 with loss scaling on a GPU use type='AmpOptimWrapper'."
            )
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model):
        """Wrap MMEngine's context (gradient accumulation) in autocast on the device that runs."""
        with super().optim_context(model), torch.autocast(get_device(), dtype=self.dtype):
            yield
