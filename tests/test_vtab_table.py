"""Runs on VTAB-1K: every mean by hand, last and best epoch, and what is said about runs that are missing or not
finished.
"""

import json
from pathlib import Path

import pytest

from mmsparse.analysis.vtab import Run, find_runs, means, table
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.errors import InputError
from small_run import refused, tool

BY_HAND = dict(zip(TASKS, (*[0.0] * 7, *[60.0] * 4, *[30.0] * 8), strict=True))


def write_run(folder: Path, task: str, scores: dict[int, float], seed: int = 0, before: dict | None = None) -> None:
    """Write what a run of two epochs leaves behind that counts here; `before` is a first part that was killed."""
    folder.mkdir(parents=True)
    entries = dict(
        train_dataloader=dict(dataset=dict(task=task)), train_cfg=dict(max_epochs=2), randomness=dict(seed=seed)
    )
    (folder / 'vitb_lora.py').write_text(''.join(f'{key} = {value!r}\n' for key, value in entries.items()))
    for part, known in enumerate([before, scores]):
        log = folder / f'2026010{part}_000000/vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        rows = [
            dict(loss=1.0, step=1),
            *({'accuracy/top1': score, 'step': step} for step, score in (known or {}).items()),
        ]
        log.write_text(''.join(f'{json.dumps(row)}\n' for row in rows) + ('' if part else '{"accur'))


def test_every_mean_by_hand():
    """0 in 7 natural tasks, 60 in 4 specialized ones, 30 in 8 structured ones."""
    assert means(BY_HAND) == {
        'Natural': 0.0,
        'Specialized': 60.0,
        'Structured': 30.0,
        'mean of groups': 30.0,
        'mean of tasks': pytest.approx((4 * 60 + 8 * 30) / 19),
    }


@pytest.mark.parametrize(
    ('by_task', 'words'),
    [
        ({task: 1.0 for task in TASKS if task != 'dmlab'}, 'missing dmlab, unknown none'),
        (BY_HAND | dict(cifar100=1.0), 'missing none, unknown cifar100'),
    ],
)
def test_a_mean_of_fewer_tasks_or_others_is_refused(by_task, words):
    with pytest.raises(InputError, match=words):
        means(by_task)


def test_a_run_counts_with_its_last_epoch_and_its_best_one_beside_it(tmp_path):
    write_run(tmp_path / 'kitti/0', 'kitti', {1: 70.0, 2: 60.0}, before={1: 10.0})
    write_run(tmp_path / 'kitti/1', 'kitti', {1: 50.0, 2: 65.0}, seed=1)
    write_run(tmp_path / 'svhn/0', 'svhn', {1: 90.0})
    runs, remarks = find_runs(tmp_path)
    assert runs == [Run('vitb_lora', 'kitti', 0, 60.0, 70.0), Run('vitb_lora', 'kitti', 1, 65.0, 65.0)]
    assert remarks == [f'{tmp_path}/svhn/0: not finished, epoch 1 of 2.']
    kitti = list(TASKS).index('kitti') + 2
    for figure, cell in (('last', '62.50'), ('best', '67.50')):
        (row,) = table(runs, figure).rows
        assert (row[0], row[1], row[kitti]) == ('vitb_lora', '2', cell)
        assert set(row[2:]) == {cell, '–'}  # no mean of one task


def test_the_tool_prints_all_tasks_and_both_means(tmp_path, capsys):
    for task, score in BY_HAND.items():
        for seed in range(3):
            write_run(tmp_path / task / str(seed), task, {1: 100.0, 2: score + seed - 1}, seed)
    assert (
        tool('analysis_tools/vtab_table.py', tmp_path, '--csv', tmp_path / 'a.csv', '--markdown', tmp_path / 'a.md')
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('| Natural | Specialized | Structured | mean of groups | mean of tasks |')
    assert all(f'| {task.column} |' in lines[0] for task in TASKS.values())
    assert lines[2].startswith('| vitb_lora | 3 | 0.00 |')
    assert lines[2].endswith('| 0.00 | 60.00 | 30.00 | 30.00 | 25.26 |')
    assert (tmp_path / 'a.md').read_text().splitlines() == lines[:3]
    assert (tmp_path / 'a.csv').read_text().splitlines()[:2] == [
        'method,task,seed,last,best',
        'vitb_lora,caltech101,0,-1.0,100.0',
    ]


def test_a_folder_without_such_runs_is_refused(tmp_path, capsys):
    (tmp_path / 'other.py').write_text('a = 1\n')
    assert 'no run on VTAB-1K below this folder' in refused(capsys, 'analysis_tools/vtab_table.py', tmp_path)
    assert 'no run on VTAB-1K' in refused(capsys, 'analysis_tools/vtab_table.py', tmp_path / 'none')
