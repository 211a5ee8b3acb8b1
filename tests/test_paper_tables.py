"""The paper's tables beside ours: every row is counted on what a config builds, and the page in docs is what the tool
writes.
"""

import runpy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml

from hosts import build, images_for
from mmsparse.analysis.paper_cells import fill
from mmsparse.datasets.vtab.tasks import TASKS
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.visualization.result_file import Result, read_results
from mmsparse.visualization.tables import read_csv
from small_run import ROOT, refused

TOOL = ROOT / 'tools/analysis_tools/paper_tables.py'
TABLES = {table['table']: table for table in yaml.safe_load(TOOL.with_suffix('.yml').read_text())['tables']}


@pytest.fixture(scope='module')
def tool():
    return SimpleNamespace(**runpy.run_path(str(TOOL)))


def test_every_table_of_the_paper_is_there_and_every_row_has_a_config_or_a_reason():
    numerals = ['I', 'I video', 'II', 'III', 'IV', 'V', 'VI', 'VII', 'VIII', 'IX', 'X', 'XI', 'XII', 'XIII', 'XIV']
    assert list(TABLES) == numerals
    for table in TABLES.values():
        assert len({row['row'] for row in table['rows']}) == len(table['rows'])
        for row in table['rows']:
            assert (ROOT / f'configs/{row.get("config", "sparse_tuning/vitb_cifar100")}.py').is_file()
            assert len(row['paper']) == 2 + len(table['datasets'])


@pytest.mark.parametrize('name', ['V', 'VII'])
def test_the_page_in_docs_is_current(tool, name):
    """Two tables; `.ci/run` compares the whole page."""
    table = TABLES[name]
    rows = tool.rows_of(table, {})
    section = f'## Table {name}: {table["title"]}\n\n{tool.laid_out(table, rows).markdown()}\n\n'
    assert section in (ROOT / 'docs/paper_tables.md').read_text()


def test_rows_within_a_percent_are_those_that_are_known_to_agree(tool):
    far = {
        row.name
        for row in tool.rows_of(TABLES['XII'], {})
        if abs(tool.difference(row.paper['GFLOPs'], row.ours['GFLOPs'])) > 1
    }
    assert far == {'b, to the end', 'c'}


def test_a_merged_adapter_costs_what_the_host_costs(tool):
    row = dict(config='peft/vitb_lora_cifar100', merged=True)
    assert tool.count(row, False)[::2] == (1_179_648, 17_582_049_024)
    assert tool.count({**row, 'merged': False}, False).published > 17_582_049_024
    assert tool.count(dict(absent='a method of a later version'), False) == tool.Ours()


def test_the_papers_own_parameters_come_from_the_other_form_of_the_adapter(tool):
    ours = tool.count({}, True)
    assert (ours.parameters, ours.exact, ours.published) == (1_091_584, 1_100_800, 11_752_521_984)


def test_the_nominal_cost_is_that_of_exactly_so_many_rows(tool):
    backbone = build(
        'timm', dict(type='mmsparse.DenseAdapter', bottleneck=4), dict(type='mmsparse.DyTDispatcher', rate=0.25)
    )
    (part,) = backbone.sparsifiers
    decide = part.plan

    def a_quarter(layer, tokens, probe):
        plan = decide(layer, tokens, probe)
        ffn_bn = torch.ones_like(plan.ffn_bn)
        ffn_bn[:, tokens.prefix + tokens.patches // 4 :] = 0
        return replace(plan, ffn_bn=ffn_bn)

    part.plan = a_quarter
    expected = account(backbone, [images_for(batch=1)]).total.published
    part.plan = tool.on_all_rows(decide)
    assert tool.nominal(account(backbone, [images_for(batch=1)]), 1, 0.25) == pytest.approx(expected)


def test_accuracies_come_from_result_files_and_are_averaged_over_seeds(tool, tmp_path):
    file = tmp_path / 'runs.csv'
    head = 'method,dataset,seed,score\n'
    lines = (
        'sparse_tuning_vitb,CIFAR100,0,91\nsparse_tuning_vitb,CIFAR100,1,92\nV: c,SVHN,0,97.5\nvitb_lora,digits,0,9\n'
    )
    file.write_text(head + lines)
    results, remarks = fill(read_results([file]), list(TABLES.values()))
    assert results['V', 'd', 'CIFAR-100'] == results['I', 'Sparse-Tuning', 'CIFAR-100'] == 91.5
    assert results['V', 'c', 'SVHN'] == 97.5 and ('V', 'a', 'CIFAR-100') not in results
    assert remarks == ['vitb_lora on digits, seed 0: its rows have the data sets CIFAR-100, Food-101, SVHN, VTAB-1K.']
    table = TABLES['V']
    rows = tool.rows_of(table, results)
    text = tool.laid_out(table, rows).markdown()
    assert '| 92.31 / 91.50 | 97.47 / – |' in text and '97.93 / 97.50' in text
    tool.long([(table, rows)]).write_csv(tmp_path / 'long.csv')
    lines = {
        (line['row'], line['quantity']): line
        for line in read_csv(tmp_path / 'long.csv', ['paper', 'ours', 'difference_percent'])
    }
    assert float(lines['d', 'CIFAR-100']['difference_percent']) == pytest.approx(100 * (91.5 - 92.31) / 92.31)
    assert float(lines['d', 'GFLOPs']['ours']) == 11.752521984 and lines['d', 'SVHN']['ours'] == ''


def test_the_cell_of_vtab_is_the_mean_of_its_tasks_with_that_of_the_groups_beside_it(tool):
    runs = [
        Result('vitb_lora', f'vtab/{task}', 0, 60.0 if about.group == 'Natural' else 30.0)
        for task, about in TASKS.items()
    ]
    results, remarks = fill(runs, [TABLES['II']])
    plain = (7 * 60 + 12 * 30) / 19
    assert results == {('II', 'LoRA', 'VTAB-1K'): pytest.approx(plain), ('II', 'LoRA', 'mean of groups'): 40.0}
    assert not remarks
    one = dict(TABLES['II'], rows=[row for row in TABLES['II']['rows'] if row['row'] == 'LoRA'])
    laid = tool.laid_out(one, tool.rows_of(one, results))
    assert laid.columns[-2:] == ['VTAB-1K', 'mean of groups, here'] and laid.rows[0][-2:] == ['72.25 / 41.05', '40.00']
    with pytest.raises(InputError, match='no cell of the paper is filled: vitb_lora, seed 0: .* without cifar'):
        fill(runs[1:], [TABLES['II']])


@pytest.mark.parametrize(
    ('method', 'dataset', 'words'),
    [
        ('vitb_lorra', 'CIFAR-100', 'no row of the paper is called vitb_lorra. Did you mean vitb_lora'),
        ('V: z', 'CIFAR-100', 'no row of the paper is called V: z. Did you mean V: '),
        ('vitb_lora', 'CIFAR-10', 'Did you mean CIFAR-100?'),
        ('vitb_lora', 'vtab/svnh', "VTAB-1K has no task 'svnh'"),
    ],
)
def test_results_that_fill_no_cell_are_named_with_what_is_near(method, dataset, words):
    with pytest.raises(InputError) as error:
        fill([Result(method, dataset, 0, 50.0)], list(TABLES.values()))
    assert words in str(error.value)


def test_the_tool_ends_with_that_error_and_no_traceback(tmp_path, capsys):
    (tmp_path / 'runs.csv').write_text('table,row,dataset,top1\nV,d,SVHN,1\n')
    found = refused(capsys, 'analysis_tools/paper_tables.py', '--results', tmp_path / 'runs.csv')
    assert 'the column row is now called method' in found


def test_speed_and_memory_are_measured_on_request_for_what_can_run(tool, monkeypatch):
    tiny = dict(config='sparse_tuning/tiny_digits')
    speed, peak = tool.measured(tiny, 2)
    held = tool.trainable(dict(tiny, adapter=dict(type='mmsparse.FullTuning'))) * 4 / 2**20
    assert speed > 0 and held < peak < 10 * held
    assert tool.measured(dict(tiny, absent='not here'), 2) is None
    table = dict(
        table='T',
        title='small',
        datasets=[],
        rows=[dict(tiny, row='a', paper=[1.0, 2.0]), dict(row='b', paper=[1.0, 2.0], absent='later')],
    )
    rows = tool.rows_of(table, {}, 2)
    assert tool.laid_out(table, rows).columns[-2:] == ['speed here, dense = 1', 'peak here, MiB']
    assert [row[-1] == '–' for row in tool.laid_out(table, rows).rows] == [False, True]
    assert 'peak here, MiB' not in tool.laid_out(table, tool.rows_of(table, {})).columns
