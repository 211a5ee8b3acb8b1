"""Learning rates as functions of the run: the warm-up is a share of it, and they end where it ends.

Named in a config with ``by_epoch=False``, MMEngine hands them the run's iterations as ``end``, in loops by epochs too.
"""

from __future__ import annotations

from mmengine.optim.scheduler import CosineAnnealingLR as MMEngineCosine
from mmengine.optim.scheduler import LinearLR
from mmengine.optim.scheduler import PolyLR as MMEnginePoly
from torch.optim import Optimizer

from mmsparse.errors import InputError
from mmsparse.registry import PARAM_SCHEDULERS
from mmsparse.utils.value_checks import is_number

INF = int(1e9)  # MMEngine's end where it knows of no run


@PARAM_SCHEDULERS.register_module()
class WarmupLR(LinearLR):
    """Rise linearly to the configured rate; MMEngine's LinearLR stays at its start where it has one iteration.

    Args:
        optimizer: given by the runner.
        share: of the run, from 0 up to below 1. Where that is less than two iterations there is no warm-up.
        start_factor: the first iteration's share of the rate.
        end: iterations of the run, given by the runner.
        by_epoch: has to be False.
    """

    def __init__(
        self, optimizer: Optimizer, share: float, start_factor: float = 1e-6, end: int = INF, by_epoch: bool = True
    ):
        steps = _iterations('WarmupLR', 'share', share, end, by_epoch)
        super().__init__(optimizer, start_factor=start_factor if steps > 1 else 1.0, end=max(steps, 1), by_epoch=False)


@PARAM_SCHEDULERS.register_module()
class CosineLR(MMEngineCosine):
    """Fall along half a cosine to the end of the run; MMEngine's CosineAnnealingLR.

    Args:
        optimizer: given by the runner.
        after: share of the run before the fall, from 0 up to below 1.
        eta_min: rate at the end.
        end: iterations of the run, given by the runner.
        by_epoch: has to be False.
    """

    def __init__(
        self, optimizer: Optimizer, after: float = 0.0, eta_min: float = 0.0, end: int = INF, by_epoch: bool = True
    ):
        begin = _iterations('CosineLR', 'after', after, end, by_epoch)
        super().__init__(optimizer, eta_min=eta_min, begin=begin, end=end, by_epoch=False)


@PARAM_SCHEDULERS.register_module()
class PolyLR(MMEnginePoly):
    """Fall as a power of what is left of the run; MMEngine's PolyLR.

    Args:
        optimizer, after, eta_min, end, by_epoch: as for `CosineLR`.
        power: the exponent.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        power: float = 1.0,
        after: float = 0.0,
        eta_min: float = 0.0,
        end: int = INF,
        by_epoch: bool = True,
    ):
        begin = _iterations('PolyLR', 'after', after, end, by_epoch)
        super().__init__(optimizer, eta_min=eta_min, power=power, begin=begin, end=end, by_epoch=False)


def _iterations(name: str, key: str, share: float, end: int, by_epoch: bool) -> int:
    """Return a share of the run's iterations, at least one less than all."""
    if by_epoch:
        raise InputError(
            f'{name}: received by_epoch={by_epoch}, expected by_epoch=False: it follows the iterations of the run, '
            'also by epochs.'
        )
    if not is_number(share) or not 0 <= share < 1:
        raise InputError(
            f'{name}: received {key}={share!r}, expected a share of the run from 0 up to below 1, such as 0.1.'
        )
    return min(round(share * end), end - 1)
