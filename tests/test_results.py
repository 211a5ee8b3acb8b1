"""Finished runs become tables: means, intervals and tests by hand, in the shapes of Tables I, II and IV, and what is said
about runs that are missing, twice there, or of another protocol.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmsparse.analysis.result_tables import by_data, by_task, in_pairs
from mmsparse.analysis.run_folders import find_runs
from mmsparse.analysis.statistics import estimate, paired
from mmsparse.analysis.vtab import means, over_tasks
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.engine.hooks.result import dataset_name, method_name
from mmsparse.errors import InputError
from mmsparse.visualization.result_file import Result, read_results, write_results
from small_run import refused, tool

TOOL = 'analysis_tools/collect_results.py'
BY_HAND = dict(zip(TASKS, (*[0.0] * 7, *[60.0] * 4, *[30.0] * 8), strict=True))
KNOWN = dict(gflops=0.5, trainable_kib=8.0, precision='float32', length='2 epochs')


def write_log(
    work_dir: Path, result: Result | None, day: int = 1, name: str = 'result', epoch: int = 2, **config
) -> Path:
    """Write what one call of a tool leaves behind that counts here."""
    log = work_dir / f'202601{day:02d}_000000'
    (log / 'vis_data').mkdir(parents=True)
    entries = dict(train_cfg=dict(max_epochs=2), work_dir=str(work_dir)) | config
    (log / 'vis_data/config.py').write_text(''.join(f'{key} = {value!r}\n' for key, value in entries.items()))
    lines = [dict(loss=1.0, epoch=step, iter=step, step=step) for step in range(1, epoch + 1)]
    (log / 'vis_data/scalars.json').write_text(''.join(f'{json.dumps(line)}\n' for line in lines) + '{"accur')
    if result:
        write_results([result], log / f'{name}.csv')
    return log


def on_vtab(method: str, seeds=(0,), shift=0.0, **known) -> list[Result]:
    return [
        Result(method, f'vtab/{task}', seed, score + seed + shift, **known)
        for task, score in BY_HAND.items()
        for seed in seeds
    ]


def test_a_mean_has_students_interval():
    """Standard errors 1 and sqrt(1/3); t(1 degree, 97.5 %) = 12.706, t(2 degrees) = 4.303."""
    assert str(estimate([1.0, 3.0])) == '2.00 ± 12.71' and str(estimate([1.0, 2.0, 3.0])) == '2.00 ± 2.48'
    assert str(estimate([5.0])) == '5.00' and estimate([5.0]).half is None and estimate([5.0, 5.0]).half == 0


def test_pairs_are_tested_by_their_differences():
    """Differences 1, 2, 3: t = 2 / (1 / sqrt 3) = 3.464 with 2 degrees, p = 1 - t / sqrt(t² + 2); all ranks on one side."""
    test = paired([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])
    assert (test.n, test.difference.mean, test.wilcoxon, test.least) == (3, 2.0, 0.25, 0.25)
    assert test.t_test == pytest.approx(1 - 12**0.5 / 14**0.5) and test.difference.half == pytest.approx(
        2.484, abs=1e-3
    )
    # of 16 signs the ranks 1 and 4 to 2 and 3 are balanced
    assert paired([1.0, -2.0, -3.0, 4.0], [0.0] * 4).wilcoxon == 1.0
    assert paired([2.0, 3.0], [1.0, 2.0]).t_test is None  # no spread to judge by
    assert (paired([1.0], [1.0]).t_test, paired([1.0], [1.0]).wilcoxon, paired([1.0], [1.0]).least) == (
        None,
        None,
        1.0,
    )


def test_every_mean_of_vtab_by_hand():
    """0 in 7 natural tasks, 60 in 4 specialized ones, 30 in 8 structured ones."""
    assert means(BY_HAND) == {
        'Natural': 0.0,
        'Specialized': 60.0,
        'Structured': 30.0,
        'mean of groups': 30.0,
        'mean of tasks': pytest.approx((4 * 60 + 8 * 30) / 19),
    }
    with pytest.raises(InputError, match='missing none, unknown cifar100'):
        means(BY_HAND | dict(cifar100=1.0))


def test_means_over_vtab_are_results_of_each_seed_that_has_all_tasks():
    runs = [run for run in on_vtab('a', (0, 1), **KNOWN) if (run.dataset, run.seed) != ('vtab/kitti', 1)]
    found, remarks = over_tasks(runs)
    assert [(run.dataset, run.seed, round(run.score, 2)) for run in found] == [
        ('VTAB-1K', 0, 25.26),
        ('VTAB-1K, mean of groups', 0, 30.0),
    ]
    assert found[0].gflops == 0.5 and found[0].best is None
    assert remarks == ['a, seed 1: no mean over VTAB-1K without kitti.']


def test_table_ii_has_all_tasks_and_both_means_with_intervals_where_seeds_are_whole():
    table = by_task(on_vtab('a', (0, 1, 2)) + on_vtab('b')[1:])
    assert list(table.columns[2:]) == [
        *(task.column for task in TASKS.values()),
        *('Natural', 'Specialized', 'Structured', 'mean of groups', 'mean of tasks'),
    ]
    first, second = table.rows
    assert first[:3] == ['a', '3', '1.00'] and first[-5:] == ['1.00', '61.00', '31.00', '31.00 ± 2.48', '26.26 ± 2.48']
    assert second[:4] == ['b', '1', '–', '0.00'] and second[-5:] == ['–'] * 5


def test_table_i_has_costs_intervals_and_a_mean_of_all_data_sets():
    runs = [Result('a', data, seed, 10.0 * seed, **KNOWN) for data in ('CIFAR100', 'SVHN') for seed in (1, 3)]
    table = by_data([*runs, Result('b', 'SVHN', 0, 7.0)], 'Data sets')
    assert table.title == 'Data sets, top1 in %'
    assert list(table.columns) == ['method', 'seeds', 'trainable, KiB', 'GFLOPs', 'CIFAR100', 'SVHN', 'mean']
    assert table.rows == [
        ['a', '2', '8', '0.5', '20.00 ± 127.06', '20.00 ± 127.06', '20.00'],
        ['b', '1', '–', '–', '–', '7.00', '–'],
    ]


def test_methods_are_compared_over_equal_seeds_or_over_data_sets():
    one = [
        Result(method, 'SVHN', seed, score)
        for method in 'ab'
        for seed, score in enumerate([50.0, 52.0 + (method == 'b')])
    ]
    other = [Result('c', 'SVHN', 7, 1.0), Result('b', 'SVHN', 9, 99.0)]  # no partner
    # differences 0 and 1; t = 1 with 1 degree, p = .5; the one pair that differs can have no p below 1
    assert in_pairs(one + other, 'a').rows == [
        ['b', '2 seeds of SVHN', '+0.50 ± 6.35', '0.5', '1', '1'],
        ['c', 'no common seed', '–', '–', '–', '–'],
    ]
    rows = in_pairs(on_vtab('a', (0, 1, 2)) + on_vtab('b', (0, 1), shift=-1.0), 'a').rows
    assert rows == [['b', '19 data sets', '-1.00 ± 0.00', '–', rows[0][4], '3.8e-06']]


def test_folders_are_searched_for_finished_runs_and_others_are_named(tmp_path):
    last = Result('a', 'digits', 0, 60.0, best=70.0, **KNOWN)
    log = write_log(tmp_path / 'deep/a', None)
    write_log(tmp_path / 'deep/a', last, day=2)  # went on after a kill
    write_log(tmp_path / 'deep/a', Result('a', 'digits', 0, 70.0), day=3, name='tested')  # of what was trained here
    tested = Result('dense', 'ADE20K', 0, 20.0, 'mIoU')
    write_log(tmp_path / 'tested', tested, name='tested')
    write_log(tmp_path / 'killed', None, epoch=1)
    write_log(tmp_path / 'blind', None)
    runs, remarks = find_runs([tmp_path, tmp_path / 'deep'])
    assert runs == [last, tested] and log.is_dir()
    assert remarks == [
        f'{tmp_path}/blind: not counted, trained to epoch 2 of 2, but not validated or without mmsparse.ResultHook.',
        f'{tmp_path}/killed: not counted, not finished, epoch 1 of 2. Go on with tools/train.py --resume.',
    ]


def test_seeds_may_share_a_work_folder_and_of_a_run_that_was_repeated_the_later_counts(tmp_path):
    for day, (seed, score) in enumerate([(0, 60.0), (1, 61.0), (0, 62.0)], start=1):
        write_log(tmp_path, Result('a', 'digits', seed, score), day=day, randomness=dict(seed=seed))
    runs, (remark,) = find_runs([tmp_path])
    assert [(run.seed, run.score) for run in runs] == [(0, 62.0), (1, 61.0)]
    assert remark.startswith('a on digits, seed 0: run twice with one config') and '20260103_000000 counts' in remark


def test_two_runs_of_one_name_with_other_settings_are_refused(tmp_path):
    for number, rate in enumerate((1e-3, 1e-2)):
        run = Result('a', 'digits', 0, 60.0 + number)
        write_log(tmp_path / str(number), run, optim_wrapper=dict(optimizer=dict(lr=rate)))
    with pytest.raises(InputError, match=r'configs differ in optim_wrapper\.optimizer\.lr\. Give .* experiment_name'):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    ('dataset', 'config', 'names'),
    [
        ('CIFAR100', 'peft/vitb_lora_cifar100.py', ('CIFAR100', 'vitb_lora')),
        ('Food101', 'peft/vitb_lora_cifar100.py', ('Food101', 'vitb_lora')),
        ('SVHN', 'sparse_tuning/vitb_svhn.py', ('SVHN', 'sparse_tuning_vitb')),
        ('COCOStuffDataset', 'configs/coco_stuff_sparse_tuning.py', ('COCOStuff', 'sparse_tuning')),
        ('PascalContextDataset59', 'configs/context59_dense.py', ('PascalContext59', 'dense')),
        ('Photos', 'own/lora_on_mine.py', ('Photos', 'lora_on_mine')),
    ],
)
def test_names_of_data_and_methods(dataset, config, names):
    found = dataset_name(type(dataset, (), {})())
    assert (found, method_name(config, found)) == names


def test_a_folder_is_called_by_what_it_holds():
    folder = type('CustomDataset', (), {})
    inner = folder()
    inner.data_root = '/data/flowers/val'
    assert dataset_name(SimpleNamespace(dataset=inner)) == 'flowers'
    inner.data_root = '/data/flowers'
    assert dataset_name(inner) == 'flowers'
    inner.metainfo = dict(dataset_name='VOC21')
    assert dataset_name(inner) == 'VOC21'


def test_one_command_prints_writes_and_draws(tmp_path, capsys):
    for method, shift in (('vitb_lora', 0.0), ('vitb_ssf', 5.0)):
        for run in on_vtab(method, (0, 1), shift, best=90.0, **KNOWN):
            write_log(tmp_path / 'runs' / method / run.dataset / str(run.seed), run)
    write_results([Result('mine', 'digits', 0, 50.0, best=60.0, **KNOWN)], tmp_path / 'old.csv')
    files = ('--csv', tmp_path / 'a.csv', '--markdown', tmp_path / 'a.md', '--figures', tmp_path / 'drawn')
    assert tool(TOOL, tmp_path / 'runs', tmp_path / 'old.csv', *files) == 0
    out = capsys.readouterr().out
    for line in (
        '| mine | 1 | 8 | 0.5 | 50.00 |',
        '| vitb_lora | 2 | 8 | 0.5 | 25.76 ± 6.35 | 30.50 ± 6.35 |',
        '| vitb_ssf | 19 data sets | +5.00 ± 0.00 | – |',
    ):
        assert line in out
    assert (tmp_path / 'a.md').read_text().strip() in out and len(read_results([tmp_path / 'a.csv'])) == 77
    assert (tmp_path / 'drawn/score_over_gflops_vtab_1k.png').is_file()
    assert tool(TOOL, tmp_path / 'a.csv', '--best', '--data', 'digits') == 0
    assert '| mine | 1 | 8 | 0.5 | 60.00 |' in capsys.readouterr().out


def test_what_cannot_be_collected_is_one_sentence(tmp_path, capsys):
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign/other.py').write_text('a = 1\n')
    assert 'no run below this folder' in refused(capsys, TOOL, tmp_path / 'foreign')
    assert 'none: cannot be read (No such file or directory)' in refused(capsys, TOOL, tmp_path / 'none')
    run = Result('a', 'digits', 0, 60.0, **KNOWN)
    log = write_log(tmp_path / 'runs', run)
    assert "received 'digit', expected of digits. Did you mean digits?" in refused(
        capsys, TOOL, log, '--data', 'digit'
    )
    assert "received 'b', expected one of a" in refused(capsys, TOOL, log, '--reference', 'b')
    assert 'its best epoch is not known' in refused(capsys, TOOL, log, '--best')
    file = tmp_path / 'file.csv'
    write_results([Result('a', 'digits', 0, 61.0)], file)
    assert 'a result file has other figures than its folder' in refused(capsys, TOOL, log, file)
    write_results([Result('a', 'vtab/kiti', 0, 61.0)], file)
    assert "no task 'kiti'" in (text := refused(capsys, TOOL, file)) and 'Did you mean kitti?' in text
    write_results([Result('b', 'digits', 0, 61.0, precision='bfloat16')], file)
    assert 'digits: runs of one table differ in precision' in refused(capsys, TOOL, log, file)
    (log / 'result.csv').write_text('method,')
    assert f'{log / "result.csv"}: the columns dataset, seed, score are missing' in refused(capsys, TOOL, log)
    write_log(tmp_path / 'begun', None, epoch=1)
    assert 'no finished run' in (text := refused(capsys, TOOL, tmp_path / 'begun')) and 'epoch 1 of 2' in text
