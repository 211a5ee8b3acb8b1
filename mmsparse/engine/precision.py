"""Which number format a network runs in: unless someone has chosen, this machine is measured once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.nn.functional import gelu, linear

from mmsparse.errors import InputError
from mmsparse.utils.number_formats import FORMATS

WORTH = 1.2  # times as fast: less is lost again in what stays in float32
ROUNDS = 5


@dataclass(frozen=True)
class Precision:
    """A number format ('float32', 'bfloat16' or 'float16') on a kind of device, and why it was taken."""

    name: str
    device: str
    why: str = ''

    def __str__(self) -> str:
        return f'{self.name} ({self.why})'

    def cast(self) -> AbstractContextManager:
        """Return the context in which forward passes and losses run."""
        return nullcontext() if self.name == 'float32' else torch.autocast(self.device, getattr(torch, self.name))


def choose(asked: str = 'auto', device: str | None = None) -> Precision:
    """Return what to run in.

    'auto' is bfloat16 on a CPU whose products are measured to be faster in it, and on a GPU that has it; else float16
    on a GPU with compute capability 7.0 or above; else float32.

    Args:
        asked: 'auto'; 'float32', 'bfloat16' or 'float16', or fp32 and so on; 'half', the shorter format that the
            device has, however slow.
        device: 'cpu', 'cuda' ...; default: where MMEngine trains.

    Raises:
        InputError: no such format, or float16 on a CPU.
    """
    device = device or get_device()
    asked = long_name(asked, device)
    if asked in ('float32', 'float16'):
        return Precision(asked, device, 'as asked')
    if device == 'cpu':
        gain = _gain()
        if asked == 'auto' and gain < WORTH:
            return Precision(
                'float32',
                device,
                f'bfloat16 is {1 / gain:.2g} × slower here' if gain < 0.95 else 'bfloat16 is no faster here',
            )
        speed = f'{gain:.2g} × as fast as' if gain >= 1 else f'{1 / gain:.2g} × slower than'
        return Precision('bfloat16', device, f'products are {speed} in float32 here')
    if device == 'cuda' and asked != 'bfloat16' and torch.cuda.is_available():
        capability = torch.cuda.get_device_capability()
        name = (
            'bfloat16' if capability >= (8, 0) else 'float16' if capability >= (7, 0) or asked == 'half' else 'float32'
        )
        return Precision(name, device, f'the fastest on {torch.cuda.get_device_name()}')
    if asked == 'auto':
        return Precision('float32', device, f'no other is tried on {device}')
    return Precision('bfloat16', device, 'as asked')


def long_name(asked: str, device: str) -> str:
    """Return the long name of a number format.

    Raises:
        InputError: as `choose`.
    """
    name = FORMATS.get(asked, asked)
    if name not in ('half', *FORMATS.values()):
        raise InputError(f'precision: received {asked!r}, expected one of: {", ".join(FORMATS.values())}.')
    if name == 'float16' and device == 'cpu':
        raise InputError(
            'precision: received float16 (fp16) on a CPU, where it is slow. Use auto, float32 (fp32) or bfloat16 '
            '(bf16).'
        )
    return name


def agree(asked: str) -> Precision:
    """Return the first process's choice, in every process."""
    choice = [choose(asked) if is_main_process() else None]
    broadcast_object_list(choice)
    return choice[0]


def set_precision(cfg: Config, asked: str) -> None:
    """Let a config train in another number format.

    Args:
        cfg: changed.
        asked: as for `choose`.

    Raises:
        InputError: the config's optimiser wrapper has its own way, or the device has not this format.
    """
    wrapper = cfg.optim_wrapper
    kind = str(wrapper.get('type', 'OptimWrapper')).rpartition('.')[2]
    if kind not in ('OptimWrapper', 'AmpOptimWrapper', 'AutocastOptimWrapper') or 'optimizer' not in wrapper:
        raise InputError(
            f'--precision: optim_wrapper of this config ({kind}) sets its own precision. Change it in the config.'
        )
    name = long_name(asked, get_device())
    wrapper.update(type='mmsparse.AutocastOptimWrapper', dtype=choose(name).name if name == 'half' else name)


def check_wrapper(wrapper: Mapping | OptimWrapper) -> None:
    """Refuse an optimiser wrapper whose number format is not to be had here, before data is loaded.

    Raises:
        InputError: as `choose`; or MMEngine's AmpOptimWrapper, which needs a GPU, on a CPU.
    """
    if not isinstance(wrapper, Mapping):  # built, and refused then
        return
    # several models have one each
    for one in (wrapper, *(value for value in wrapper.values() if isinstance(value, Mapping))):
        kind = str(one.get('type')).rpartition('.')[2]
        if kind == 'AutocastOptimWrapper':
            long_name(one.get('dtype', 'auto'), get_device())
        elif kind == 'AmpOptimWrapper' and get_device() == 'cpu':
            raise InputError(
                'optim_wrapper: AmpOptimWrapper needs a GPU, and there is none. Use '
                "type='mmsparse.AutocastOptimWrapper'."
            )


def test_in(runner: Runner, asked: str) -> None:
    """Let a runner test in a number format.

    Raises:
        InputError: as `choose`.
    """
    chosen = runner.test_loop.precision = agree(asked)  # for the card
    runner.test_loop.fp16 = chosen.name != 'float32'
    torch.set_autocast_dtype(chosen.device, getattr(torch, chosen.name))  # what MMEngine's loops take on a GPU


def precision_of(wrapper: Mapping) -> str:
    """Return the number format that the config of an optimiser wrapper comes to on this machine."""
    ours = str(wrapper.get('type')).endswith('AutocastOptimWrapper')
    return choose(wrapper.get('dtype', 'auto')).name if ours else wrapper.get('dtype', 'float32')


def running(wrapper: OptimWrapper) -> str:
    """Return what an optimiser wrapper trains in; for people to read."""
    return str(getattr(wrapper, 'precision', getattr(wrapper, 'cast_dtype', 'float32'))).removeprefix('torch.')


@cache
def _gain() -> float:
    """Return how many times as fast as float32 bfloat16 is on this CPU: an FFN on four images, both passes.

    Without bfloat16 in the processor the products of the backward pass are the slowest. Draws no random numbers.
    """
    x_nc, up_fc, down_cf = (
        torch.full(shape, 0.1, requires_grad=True) for shape in ((4 * 65, 128), (512, 128), (128, 512))
    )
    seconds = {'float32': [], 'bfloat16': []}
    # One thread's own time, so that other work on the machine has no say; Windows counts it in steps of 16 ms.
    clock = time.process_time if time.get_clock_info('process_time').resolution < 1e-4 else time.perf_counter
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for turn in range(ROUNDS):
        for name, times in seconds.items():
            start = clock()
            with torch.enable_grad(), Precision(name, 'cpu').cast():
                y_nc = linear(gelu(linear(x_nc, up_fc)), down_cf)
            torch.autograd.grad(y_nc.sum(), (x_nc, up_fc, down_cf))
            times.append(clock() - start)
        gain = min(seconds['float32']) / min(seconds['bfloat16'])
        if turn and gain < 0.5:  # the first round sets things up; so slow a format need not be measured better
            break
    torch.set_num_threads(threads)
    return gain
