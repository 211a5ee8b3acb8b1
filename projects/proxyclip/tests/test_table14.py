"""Table XIV: twelve rows, costs by hand where a dispatcher decides, and results in their places."""

import sys

import pytest

from mmsparse.errors import InputError
from mmsparse.visualization.result_file import Result, write_results
from projects.proxyclip import table14
from projects.proxyclip.proxyclip.cost import WindowCost, window_cost
from projects.proxyclip.table14 import Layout, cells, table
from small_proxyclip import config

LAYOUT = Layout.read()


def test_all_rows_and_columns_are_there_with_a_name_each():
    assert {row['number'] for row in LAYOUT.rows} == set(range(1, 13))
    for key in ('row', 'method'):
        assert len({row[key] for row in LAYOUT.rows}) == len(LAYOUT.rows)
    assert len(LAYOUT.datasets) == 8 and set(LAYOUT.seen) < set(LAYOUT.datasets)


def test_a_dispatcher_costs_what_its_rate_says():
    """Four blocks of width 48 with an FFN run before the readout: 4 × 16 patches × 2 × 48 × 192 multiply-adds."""

    def cost(rate):
        dispatcher = dict(type='mmsparse.DyTDispatcher', rate=rate)
        return window_cost(config(backbone=dict(sparsifier=dispatcher)), 64)

    every, half = cost(1.0), cost(0.5)
    assert every.clip - half.clip == 4 * 16 * 2 * 48 * 192 // 2 and every.vfm == half.vfm
    assert every.tunable == half.tunable == 4 * 49


def test_results_stand_in_their_cells_with_what_was_seen_in_training_marked(monkeypatch):
    monkeypatch.setattr(table14, 'cost_of', lambda row: WindowCost(10**9, 10**9, 0, 0, 10**6))
    runs = [Result('sparse_tuning', 'VOC20', seed, score, 'mIoU') for seed, score in enumerate([80.0, 82.0])]
    runs += [Result('dense', data, 0, 10.0 + number, 'mIoU') for number, data in enumerate(LAYOUT.datasets)]
    found, remarks = cells([*runs, Result('sparse_tunin', 'VOC20', 0, 1.0, 'mIoU')], LAYOUT)
    assert remarks == ['sparse_tunin on VOC20, seed 0: Table XIV has no row sparse_tunin. Did you mean sparse_tuning?']
    made = table(LAYOUT, found)
    rows = {row[1]: dict(zip(made.columns, row)) for row in made.rows}
    dense, tuned = rows['training-free ProxyCLIP'], rows['Sparse-Tuning, EViT .7, delta']
    assert (dense['VOC21'], dense['ADE20K'], dense['mean']) == ('10.00', '17.00', '13.50')
    assert (tuned['VOC20'], tuned['COCO-Stuff'], tuned['ADE20K'], tuned['mean']) == ('81.00 ± 12.71†', '–†', '–', '–')
    assert (dense['tunable, M'], dense['GFLOPs, CLIP'], dense['GFLOPs, end to end']) == ('1.00', '1.0', '2.0')


def test_other_metrics_and_files_that_fill_nothing_are_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match='received top1, expected mIoU'):
        cells([Result('dense', 'VOC20', 0, 1.0)], LAYOUT)
    write_results([Result('dense', 'VOC2', 0, 1.0, 'mIoU')], tmp_path / 'runs.csv')
    monkeypatch.setattr(sys, 'argv', ['table14.py', str(tmp_path / 'runs.csv')])
    with pytest.raises(SystemExit) as end:
        table14.main()
    assert end.value.code == 2
    assert 'no cell of Table XIV is filled: dense on VOC2, seed 0' in (text := capsys.readouterr().err)
    assert 'Did you mean VOC21?' in text or 'Did you mean VOC20?' in text
