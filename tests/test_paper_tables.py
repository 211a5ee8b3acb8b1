"""The paper's tables beside ours: every row is counted on what a config builds, and the page in docs is what the tool
writes.
"""

import runpy
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import yaml

from hosts import build, images_for
from mmsparse.errors import InputError
from mmsparse.evaluation import account
from mmsparse.visualization.tables import read_csv
from small_run import ROOT

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


def test_accuracies_come_from_files_and_are_averaged_over_lines(tool, tmp_path):
    file = tmp_path / 'runs.csv'
    file.write_text('table,row,dataset,top1,seed\nV,d,CIFAR-100,91,0\nV,d,CIFAR-100,92,1\nV,c,SVHN,97.5,0\n')
    results = tool.read_results([file], list(TABLES.values()))
    assert results == {('V', 'd', 'CIFAR-100'): 91.5, ('V', 'c', 'SVHN'): 97.5}
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


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('table,row,top1\nV,d,92\n', 'dataset are missing; received table, row, top1'),
        ('table,row,dataset,top1\nV,z,CIFAR-100,92\n', "line 2: no table has the cell ('V', 'z', 'CIFAR-100')"),
        ('table,row,dataset,top1\nXX,d,CIFAR-100,92\n', 'Expected one of the tables'),
        ('table,row,dataset,top1\nV,d,CIFAR-100,ninety\n', "received top1='ninety'"),
        ('table,row,dataset,top1\nV,d,CIFAR-100,92\nV,d,SVHN,101\n', 'line 3: received top1='),
    ],
)
def test_a_file_of_results_that_does_not_fit_is_one_clear_error(tool, tmp_path, text, words):
    file = tmp_path / 'runs.csv'
    file.write_text(text)
    with pytest.raises(InputError, match='runs.csv') as error:
        tool.read_results([file], list(TABLES.values()))
    assert words in str(error.value)


def test_the_tool_ends_with_that_error_and_no_traceback(tmp_path, monkeypatch, capsys):
    (tmp_path / 'runs.csv').write_text('a,b\n1,2\n')
    monkeypatch.setattr(sys, 'argv', ['paper_tables.py', '--results', str(tmp_path / 'runs.csv')])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert end.value.code == 2 and 'table, row, dataset, top1 are missing' in capsys.readouterr().err


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
