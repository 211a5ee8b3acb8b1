"""Time and memory of several networks side by side: rows that say under which conditions they were measured."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mmsparse.analysis.contenders import Contender
from mmsparse.analysis.fixed_rate import hold_rate
from mmsparse.analysis.memory import held, nbytes, saved_bytes, transient_peak
from mmsparse.analysis.timing import Spread, clock_mhz, interleave, speedup
from mmsparse.engine.precision import Precision, long_name
from mmsparse.engine.weight_selection import select_at_random
from mmsparse.errors import InputError
from mmsparse.visualization.tables import Table

DEFAULT_SIZE = (224, 224)
CLOCKS = dict(wall=time.perf_counter, cpu=time.process_time)


@dataclass(frozen=True)
class Setting:
    """What is measured, and how.

    Args:
        phase: 'test', the logits in evaluation mode; 'train', one step: forward, backward, AdamW.
        batch: images per call.
        device: 'cpu' or 'cuda'.
        precision: 'fp32'; 'bf16' or, on a GPU, 'fp16': autocast, as the recipes train where it is faster.
        mode: 'eager' or 'compiled' (`torch.compile` of the whole network for this one shape).
        rounds: samples of each contender, at least 5.
        clock: 'wall'; or 'cpu': this process's CPU time, of which other work on the machine takes no part. On one
            thread of a CPU the two are the same where nothing else runs.
    """

    phase: Literal['test', 'train']
    batch: int
    device: str = 'cpu'
    precision: Literal['fp32', 'bf16', 'fp16'] = 'fp32'
    mode: Literal['eager', 'compiled'] = 'eager'
    rounds: int = 5
    clock: Literal['wall', 'cpu'] = 'wall'

    def __str__(self) -> str:
        return f'{self.phase}, batch {self.batch}, {self.device}, {self.precision}, {self.mode}'

    def cast(self) -> AbstractContextManager:
        return Precision(long_name(self.precision, self.device), self.device).cast()


@dataclass(frozen=True)
class Row:
    """One contender in one setting.

    `ratio` is how many times as fast as the first contender, round by round. `saved_bytes` (training only) are kept
    for the backward pass, without parameters. `live_bytes` are the most that one call has allocated at one time;
    `peak_bytes` are these and parameters, buffers and optimiser state; the images are not counted. `clock_mhz` is the
    processor's clock after the last round, the device's on CUDA; None: it does not say.
    """

    contender: str
    phase: str
    batch: int
    device: str
    precision: str
    mode: str
    threads: int
    clock_mhz: int | None
    rounds: int
    clock: str
    milliseconds: float
    milliseconds_min: float
    milliseconds_max: float
    images_per_second: float
    ratio: float
    ratio_min: float
    ratio_max: float
    saved_bytes: int | None
    live_bytes: int
    peak_bytes: int
    parameters: int
    trainable: int
    ffn_rate: float | None = None


def measure(contenders: Sequence[Contender], setting: Setting) -> list[Row]:
    """Measure contenders in one setting, in turn; the first one is the reference of the ratios.

    Raises:
        InputError: a batch of 0, too few rounds, no CUDA device, CPU time of more than one thread, a name given twice.
    """
    _check(contenders, setting)
    images = _images(contenders, setting)
    torch.compiler.reset()  # each shape is compiled for itself
    runs = [_Run(contender, setting, images) for contender in contenders]
    finish = torch.cuda.synchronize if setting.device == 'cuda' else (lambda: None)
    calls = {run.contender.name: run.call for run in runs}
    times = interleave(calls, setting.rounds, finish=finish, clock=CLOCKS[setting.clock])
    conditions = dict(threads=torch.get_num_threads(), clock_mhz=clock_mhz(setting.device))
    reference = times[contenders[0].name]
    return [run.row(times[run.contender.name], reference, conditions) for run in runs]


def _check(contenders: Sequence[Contender], setting: Setting) -> None:
    if setting.batch < 1:
        raise InputError(f'benchmark: received a batch of {setting.batch}, expected at least 1 image.')
    if setting.device == 'cuda' and not torch.cuda.is_available():
        raise InputError('benchmark: received device cuda, but torch finds no such device here. Use --device cpu.')
    if setting.clock == 'cpu' and (setting.device == 'cuda' or torch.get_num_threads() > 1):
        raise InputError(
            f'benchmark: received the clock cpu for {setting.device} and {torch.get_num_threads()} threads; the time '
            'of several would be added up. Use --threads 1 on a CPU, or --clock wall.'
        )
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise InputError(f'benchmark: received the contenders {", ".join(names)}, expected each one once.')


def _images(contenders: Sequence[Contender], setting: Setting) -> Tensor:
    size = next((contender.image_size for contender in contenders if contender.image_size), DEFAULT_SIZE)
    return torch.randn(setting.batch, 3, *size, generator=torch.Generator().manual_seed(0)).to(setting.device)


class _Run:
    """A contender, ready to be called again and again."""

    def __init__(self, contender: Contender, setting: Setting, images: Tensor):
        self.contender, self.setting, self.images = contender, setting, images
        module = contender.module.to(setting.device)
        module.train(setting.phase == 'train')
        self.forward = torch.compile(module, dynamic=False) if setting.mode == 'compiled' else module
        self.optimiser, self.ffn_rate = None, None
        if setting.phase == 'train':
            select_at_random(module)
            trains = [parameter for parameter in module.parameters() if parameter.requires_grad]
            if not trains:
                raise InputError(f'{contender.name}: nothing in it trains. Measure it with --phase test.')
            self.optimiser = torch.optim.AdamW(trains, lr=1e-5)
            self.scaler = torch.amp.GradScaler(setting.device, enabled=setting.precision == 'fp16')
        else:
            with setting.cast():
                self.ffn_rate = hold_rate(module, images)

    def call(self) -> None:
        """Classify the images, or train on them once."""
        if self.optimiser is None:
            with torch.no_grad(), self.setting.cast():
                self.contender.predict(self.forward, self.images)
        else:
            self.scaler.scale(self.loss()).backward()
            self.scaler.step(self.optimiser)
            self.scaler.update()
            self.optimiser.zero_grad()

    def loss(self) -> Tensor:
        with self.setting.cast():
            return self.contender.loss(self.forward, self.images)

    def row(self, seconds: Sequence[float], reference: Sequence[float], conditions: dict) -> Row:
        """Count the memory, which no clock disturbs, and put everything together."""
        module, setting = self.contender.module, self.setting
        spread, ratio = Spread.of(seconds), speedup(reference, seconds)
        live = transient_peak(self.call, self.images.device)
        return Row(
            contender=self.contender.name,
            **asdict(setting),
            **conditions,
            milliseconds=1e3 * spread.median,
            milliseconds_min=1e3 * spread.low,
            milliseconds_max=1e3 * spread.high,
            images_per_second=setting.batch / spread.median,
            ratio=ratio.median,
            ratio_min=ratio.low,
            ratio_max=ratio.high,
            saved_bytes=saved_bytes(module, self.loss) if self.optimiser else None,
            live_bytes=live,
            peak_bytes=nbytes(held(module, self.optimiser)) + live,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            trainable=sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad),
            ffn_rate=self.ffn_rate,
        )


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV, one column per field; None is empty."""
    Table([field.name for field in fields(Row)], list(map(astuple, rows))).write_csv(path)


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote; the rows are equal to those written."""
    kinds = {field.name: field.type.split(' |')[0] for field in fields(Row)}
    parse = dict(int=int, float=float, str=str)
    with path.open(newline='') as file:
        return [
            Row(**{name: parse[kinds[name]](text) if text else None for name, text in line.items()})
            for line in csv.DictReader(file)
        ]
