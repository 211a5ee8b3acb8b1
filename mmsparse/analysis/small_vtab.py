"""Small VTAB: which methods run on it, and what their finished runs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from mmengine.config import Config

from mmsparse.analysis.statistics import estimate, paired
from mmsparse.analysis.trials import DATA, LOCAL, config_copy, trial_config
from mmsparse.analysis.vtab import GROUPED, PLAIN, means
from mmsparse.datasets.small_vtab.tasks import GROUPS, PREFIX, TASKS
from mmsparse.visualization.result_file import Result
from mmsparse.visualization.tables import Table

TASK_CONFIG = 'mmsparse::sparse_tuning/tiny_small_vtab.py'
ADAPTER = 'model.backbone.adapter'
_DENSE = 'sparsify/tiny_noop_dense_adapter_digits.py'
METHODS: dict[str, tuple[str, dict]] = {  # config and what is changed in it, the ones that are asked about first
    'linear probe': ('peft/tiny_linear_probe_digits.py', {}),
    'Dense Adapter': (_DENSE, {}),
    # as many parameters as the one above, to half a percent, none of them in links to earlier layers
    'plain adapter, width 59': (_DENSE, {f'{ADAPTER}.inputs': ('x',), f'{ADAPTER}.bottleneck': 59}),
    'LoRA': ('peft/tiny_lora_digits.py', {}),
    'AdaptFormer': ('peft/tiny_adaptformer_digits.py', {}),
    'full tuning': ('peft/tiny_full_tuning_digits.py', {}),
    'Adapter': ('peft/tiny_adapter_digits.py', {}),
    'BitFit': ('peft/tiny_bitfit_digits.py', {}),
    'VPT-Deep': ('peft/tiny_vpt_deep_digits.py', {}),
    'ConvPass': ('peft/tiny_convpass_digits.py', {}),
    'RepAdapter': ('peft/tiny_rep_adapter_digits.py', {}),
    'SSF': ('peft/tiny_ssf_digits.py', {}),
    'FacT-TT': ('peft/tiny_fact_tt_digits.py', {}),
    'Res-Tuning': ('peft/tiny_res_tuning_digits.py', {}),
    'DyT': ('peft/tiny_dyt_digits.py', {}),
    'NOAH, half': ('peft/tiny_noah_digits.py', {}),
    'SynQT': ('peft/tiny_synqt_digits.py', {}),
    'VPT-Shallow': ('peft/tiny_vpt_shallow_digits.py', {}),
    'Adapter, two': ('peft/tiny_adapter_two_digits.py', {}),
    'Adapter+': ('peft/tiny_adapter_plus_digits.py', {}),
    'DoRA': ('peft/tiny_dora_digits.py', {}),
    'FacT-TK': ('peft/tiny_fact_tk_digits.py', {}),
    'Res-Tuning-Bypass': ('peft/tiny_res_tuning_bypass_digits.py', {}),
    'selected weights': ('peft/tiny_selected_weights_digits.py', {}),
    'DyT, four experts': ('peft/tiny_dyt_moe_digits.py', {}),
}
OVER = (*GROUPS, GROUPED, PLAIN)
ALL, EVIT, OWN = 'all', 'EViT .7', 'its own'
# Top-level entries that a run reads. The others are names within a config's files: when they change, what has been run
# still counts.
READ = (*DATA, 'model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg', 'default_scope')
READ += ('default_hooks', 'custom_hooks', 'env_cfg', 'randomness', 'runner_type')


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        method: one of METHODS.
        reduction: ALL, EVIT or, where the method brings its sparsifier along, OWN.
    """

    method: str
    reduction: str


Runs = dict[Row, dict[int, dict[str, dict]]]  # results by row, seed and task

# What is asked, and the two rows that answer: the first minus the second, on the same tasks and seeds.
LINKS = 'Dense links'
QUESTIONS = {
    f'{LINKS} under EViT: Dense Adapter against the plain adapter': (
        Row('Dense Adapter', EVIT),
        Row('plain adapter, width 59', EVIT),
    ),
    f'{LINKS} without reduction: the same two': (Row('Dense Adapter', ALL), Row('plain adapter, width 59', ALL)),
    'Reduction under the Dense Adapter: EViT against all tokens': (
        Row('Dense Adapter', EVIT),
        Row('Dense Adapter', ALL),
    ),
    'Reduction under the plain adapter': (Row('plain adapter, width 59', EVIT), Row('plain adapter, width 59', ALL)),
    'Reduction under the linear probe': (Row('linear probe', EVIT), Row('linear probe', ALL)),
}


def plan(
    methods: Sequence[str], tasks: Sequence[str], seeds: int, work_dir: Path, precision: str
) -> Iterator[tuple[Row, int, str, Config]]:
    """Give every run with its row, seed and task: seed by seed, and in a seed row by row.

    Args:
        methods: of METHODS.
        tasks: of TASKS.
        seeds: how many.
        work_dir: parent of the runs' folders of logs.
        precision: number format.
    """
    for seed in range(seeds):
        for method in methods:
            for row, cfg in _rows(method):
                for task in tasks:
                    data = config_copy(TASK_CONFIG, task)
                    cfg.train_cfg.max_epochs = data.train_cfg.max_epochs
                    full = trial_config(cfg, data, seed, work_dir, precision)
                    yield row, seed, task, Config({key: full[key] for key in (*READ, *LOCAL) if key in full})


def _rows(method: str) -> Iterator[tuple[Row, Config]]:
    """The rows of a method, each with the config that gives model, optimiser and schedule."""
    path, changes = METHODS[method]
    cfg = config_copy(f'mmsparse::{path}')
    cfg.merge_from_dict(changes)
    if (cfg.model.backbone.get('sparsifier') or {}).get('type', 'mmsparse.NoOp') != 'mmsparse.NoOp':
        yield Row(method, OWN), cfg
        return
    cfg.model.backbone.pop('sparsifier', None)
    yield Row(method, ALL), deepcopy(cfg)
    cfg.model.backbone.sparsifier = config_copy(TASK_CONFIG).model.backbone.sparsifier
    yield Row(method, EVIT), cfg


def complete(runs: Mapping[int, Mapping[str, dict]]) -> list[int]:
    """Return the seeds that have every task."""
    return sorted(seed for seed, by_task in runs.items() if set(by_task) == set(TASKS))


def interval(values: Sequence[float], form: str = '.1f') -> str:
    """Return the 95 % interval of a mean, '–' of a single value."""
    found = estimate(values)
    if found.half is None:
        return '–'
    return f'{found.mean - found.half:{form}} to {found.mean + found.half:{form}}'


def table(runs: Runs, seeds: int) -> Table:
    """Return a line per row: the mean of each task over the seeds that have been run, and all means over the seeds
    that have every task.

    Args:
        runs: finished ones.
        seeds: how many there are to be.
    """
    columns = ['method', 'tokens', 'seeds', *(task.column for task in TASKS.values()), *OVER, '95 % interval']
    result = Table([*columns, 'GFLOPs', 'trainable KiB'])
    for row, by_seed in runs.items():
        scores = {task: [by_task[task] for by_task in by_seed.values() if task in by_task] for task in TASKS}
        whole = [means({task: by_seed[seed][task]['accuracy'] for task in TASKS}, TASKS) for seed in complete(by_seed)]
        every = [run for own in scores.values() for run in own]
        result.rows.append(
            [
                *(*row, f'{len(whole)} of {seeds}'),
                *(f'{mean(run["accuracy"] for run in own):.1f}' if own else '–' for own in scores.values()),
                *(f'{mean(one[name] for one in whole):.1f}' if whole else '–' for name in OVER),
                interval([one[PLAIN] for one in whole]) if whole else '–',
                f'{mean(run["gflops"] for run in every):.3f}',
                f'{mean(run["kib"] for run in every):,.0f}',
            ]
        )
    return result


def answers(runs: Runs) -> tuple[Table, list[str]]:
    """Compare rows in pairs.

    Returns:
        A table of differences in points on each task, their mean with its interval over tasks and over seeds, and the
        paired t-test over tasks; and a sentence on each question about links.
    """
    columns = ['question', 'seeds', *(task.column for task in TASKS.values()), 'mean', '95 % over tasks', 'p']
    result, said = Table([*columns, '95 % over seeds']), []
    for question, rows in QUESTIONS.items():
        ours, theirs = (runs.get(row, {}) for row in rows)
        seeds = sorted({*complete(ours)} & {*complete(theirs)})
        if not seeds:
            result.rows.append([question, 0, *['–'] * (len(columns) - 1)])
            continue
        one, other = (
            {task: [own[seed][task]['accuracy'] for seed in seeds] for task in TASKS} for own in (ours, theirs)
        )
        test = paired(*(list(map(mean, by_task.values())) for by_task in (one, other)))
        gains = {task: [a - b for a, b in zip(one[task], other[task])] for task in TASKS}
        by_seed = [mean(own) for own in zip(*gains.values())]
        over_tasks = interval(list(map(mean, gains.values())), '+.1f')
        cells = [*(f'{mean(own):+.1f}' for own in gains.values()), f'{test.difference.mean:+.2f}', over_tasks]
        p = '–' if test.t_test is None else f'{test.t_test:.2f}'
        result.rows.append([question, len(seeds), *cells, p, interval(by_seed, '+.1f')])
        if question.startswith(LINKS):
            half = test.difference.half
            low, high = test.difference.mean - half, test.difference.mean + half
            verdict = 'they pay' if low > 0 else 'they cost' if high < 0 else 'that they pay is not shown'
            said.append(f'{question}: {test.difference.mean:+.2f} points ({over_tasks} over tasks): **{verdict}**.')
    return result, said


def result_rows(runs: Runs) -> list[Result]:
    """Return finished runs as a result file holds them."""
    length = f'{config_copy(TASK_CONFIG).train_cfg.max_epochs} epochs'
    return [
        Result(
            f'{row.method}, {row.reduction}',
            f'{PREFIX}{task}',
            seed,
            run['accuracy'],
            gflops=run['gflops'],
            trainable_kib=run['kib'],
            precision=run['precision'],
            length=length,
        )
        for row, by_seed in runs.items()
        for seed, by_task in by_seed.items()
        for task, run in by_task.items()
    ]
