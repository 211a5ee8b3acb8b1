"""Gradients that wait for their step, in a state: accumulation goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from mmsparse.errors import InputError
from mmsparse.state.resume_form import REMEDY
from mmsparse.state.saved_tensors import unwrapped


def wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> Iterable[OptimWrapper]:
    """Return a run's optimiser wrappers: one, or one for each of several optimisers."""
    return optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


def pending(runner) -> list[dict[str, Tensor]]:
    """Return the gradients of each process by parameter, empty at a step of the optimiser. All processes call it."""
    if all(one._inner_count % one._accumulative_counts == 0 for one in wrappers(runner.optim_wrapper)):
        return []
    own = unwrapped(runner.model).named_parameters()
    return all_gather_object({name: each.grad.detach().cpu() for name, each in own if each.grad is not None})


def restore(runner, saved: Sequence[dict[str, Tensor]], path: str) -> None:
    """Put this process's gradients back.

    Raises:
        InputError: the state is of another number of processes.
    """
    if not saved:
        return
    if len(saved) != get_world_size():
        raise InputError(
            f'{path}: saved between two steps of an accumulation by {len(saved)} processes, received '
            f'{get_world_size()}. Go on with as many, or from a state after a step.'
        )
    parameters, gradients = dict(unwrapped(runner.model).named_parameters()), saved[get_rank()]
    if strange := [
        name for name, each in gradients.items() if name not in parameters or parameters[name].shape != each.shape
    ]:
        raise InputError(f'{path}: damaged, the gradient of {strange[0]} has another shape, or no parameter. {REMEDY}')
    for name, each in gradients.items():
        parameters[name].grad = each.to(parameters[name])
