"""Bytes that a network keeps: in itself, for the backward pass, and at its peak."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes behind tensors; those that share a storage count once."""
    return sum(
        {storage.data_ptr(): storage.nbytes() for storage in (tensor.untyped_storage() for tensor in tensors)}.values()
    )


def held(model: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> list[Tensor]:
    """Return what lives between two calls: parameters, buffers, the optimiser's state."""
    states = optimiser.state.values() if optimiser else ()
    return [
        *model.parameters(),
        *model.buffers(),
        *(value for state in states for value in state.values() if isinstance(value, Tensor)),
    ]


def saved_bytes(model: nn.Module, forward: Callable[[], object]) -> int:
    """Return the bytes that a forward pass saves for its backward pass.

    Every storage counts once and whole, also where only a view of it was saved: a view keeps it alive. Parameters and
    buffers are left out, they live anyway; their copies in bfloat16 are not. The input images count where they are
    saved.

    Args:
        model: whose parameters are left out.
        forward: the pass, with gradients on; its result is kept until the count is done.
    """
    storages = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage  # held, so that no address is given out twice
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    ours = {tensor.untyped_storage().data_ptr() for tensor in held(model)}
    return sum(storage.nbytes() for address, storage in storages.items() if address not in ours)


def transient_peak(call: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes that a call has allocated at one time, above what lived before it.

    On a CPU every allocation and release of torch's allocator is read from the profiler, on CUDA the caching allocator
    keeps count.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        call()
    # The public list drops the order of allocations; the pinned torch keeps it here.
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == '[memory]']
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak
