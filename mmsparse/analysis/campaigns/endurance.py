"""Two thousand steps and three hundred answers of one process: nothing piles up."""

from __future__ import annotations

import gc
import json
import os
from functools import cache
from pathlib import Path
from random import Random

import torch
from mmengine.hooks import Hook

from mmsparse.analysis.campaigns.campaign import Campaign, Trial, must
from mmsparse.analysis.campaigns.forks import Fork, tool
from mmsparse.analysis.campaigns.small_runs import hooked, write_configs
from mmsparse.apis.load import load
from mmsparse.state.files import newest

BLOCKS, STEPS, CALLS = 20, 100, 15
SETTLED = 5  # blocks, in which libraries fill their caches
GROWTH = 1.01
LIMIT = 1800  # seconds


class Holdings(Hook):
    """Writes down after every block what the process holds."""

    priority = 'LOWEST'

    def __init__(self, file: Path):
        self.file, self.found = file, []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Look."""
        if (runner.iter + 1) % STEPS == 0:
            self.look(runner.model, len(runner.hooks))

    def look(self, model, hooks: int = 0) -> None:
        """Note bytes in memory, tensors, open files, and whatever hangs on modules."""
        gc.collect()
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        hooks += sum(
            len(getattr(module, kind))
            for module in model.modules()
            for kind in vars(module)
            if kind.endswith('_hooks')
        )
        tensors = sum(isinstance(each, torch.Tensor) for each in gc.get_objects())
        handles = len(os.listdir('/proc/self/fd'))
        memory = pages * os.sysconf('SC_PAGE_SIZE')
        self.found.append(dict(memory=memory, tensors=tensors, handles=handles, hooks=hooks))
        self.file.write_text(json.dumps(self.found))


def prepare(folder: Path, trials: int) -> Trial:
    """Write the data; training and answers run when they are first asked for."""
    _, config = write_configs(folder)
    blocks = max(SETTLED + 1, (trials + 1) // 2)

    @cache
    def held(use: str) -> list[dict]:
        file = folder / f'{use}.json'
        if use == 'steps':
            loop = dict(by_epoch=False, max_iters=blocks * STEPS, val_interval=STEPS)
            looped = folder / 'long.py'
            looped.write_text(
                f"_base_ = ['everything_random.py']\ntrain_cfg = dict(_delete_=True, **{loop})\n"
                f'default_hooks = dict(checkpoint=dict(interval={STEPS}))\n'
            )
            options = ('--work-dir', folder / 'long')
            fork = tool('train.py', looped, *options, log=folder / use, before=hooked(Holdings(file)))
        else:
            held('steps')
            fork = Fork(
                lambda: _answer(newest(folder / 'long'), folder / 'data/test', Holdings(file), blocks), folder / use
            )
        fork.wait(LIMIT)
        must(fork.status == 0, fork.err[-1500:])
        return json.loads(file.read_text())

    def trial(number: int, draw: Random) -> str:
        use, block = ('steps', 'answers')[number % 2], number // 2
        found = held(use)
        must(len(found) == blocks, f'{use}: {len(found)} of {blocks} blocks')
        first, now = found[min(SETTLED, block)], found[block]
        must(now['memory'] <= GROWTH * first['memory'], f'{use}: memory {first["memory"]:,} grew to {now["memory"]:,}')
        for kind in ('tensors', 'handles', 'hooks'):
            must(now[kind] <= first[kind], f'{use}: {kind}, {first[kind]} grew to {now[kind]} in block {block}')
        return use

    return trial


def _answer(state: Path, folder: Path, holdings: Holdings, blocks: int) -> None:
    """Ask as tools/infer.py does, and as a program that keeps its model."""
    model = load(state)
    for _ in range(blocks):
        for _ in range(CALLS):
            must(all(each.error is None for each in model.predict.stream(model.predict.files(folder))), 'no answer')
        holdings.look(model)


CAMPAIGN = Campaign(
    'endurance',
    f'{BLOCKS * STEPS:,} steps and {BLOCKS * CALLS} calls of predict on a folder: behind the first quarter memory '
    'grows by less than 1 %, no tensor, hook or open file is gained',
    2 * BLOCKS,
    prepare,
)
