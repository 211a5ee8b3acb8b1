"""What a run says at its end, and that what it names works."""

import io
import re
import runpy
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mmsparse.utils import terminal
from mmsparse.visualization.result_file import Result, read_results
from small_run import ROOT, write_run


def run(monkeypatch, capsys, *words) -> str:
    """Call a tool as a program in this process and return what it prints."""
    monkeypatch.setattr(sys, 'argv', [str(word) for word in words])
    runpy.run_path(str(words[0]), run_name='__main__')
    return capsys.readouterr().out


@pytest.fixture
def trained(tmp_path, monkeypatch, capsys):
    """A run in a folder whose name needs quotes: what it printed."""
    monkeypatch.chdir(tmp_path)
    config = write_run(tmp_path, dropout=0)
    return run(
        monkeypatch,
        capsys,
        ROOT / 'tools/train.py',
        config,
        '--work-dir',
        'own [1] run',
        '--cfg-options',
        'train_cfg.max_epochs=2',
    )


def test_the_result_card_names_commands_that_work(trained, tmp_path, monkeypatch, capsys):
    card = trained.split('Trained')[1]
    test, infer, share = (
        shlex.split(re.search(rf'^ +{name} +(.+)$', card, re.M)[1]) for name in ('test', 'infer', 'share')
    )
    assert test[:2] == ['python', str(ROOT / 'tools/test.py')] and test[2] == 'own [1] run/small.py'

    tested = run(monkeypatch, capsys, *test[1:], '--per-class')
    shown, card = tested.split('Tested')
    assert 'Epoch(test)' not in shown and len(shown.splitlines()) <= 3
    best = re.search(r'best +(\S+) at', trained)[1]
    last = re.search(r'last +accuracy/top1 (\S+)', trained)[1]
    (left,), (again,) = (list(Path('own [1] run').glob(f'*/{name}.csv')) for name in ('result', 'tested'))
    (run_result,), (test_result,) = read_results([left]), read_results([again])
    assert run_result.gflops == pytest.approx(0.0009416, rel=1e-3)
    known = replace(run_result, gflops=None)
    scores = dict(score=float(last), best=float(best), trainable_kib=1795 / 256)
    assert known == Result('small', 'data', 0, precision='float32', length='2 epochs', **scores)
    assert test_result == replace(run_result, score=float(best), best=None, precision='', length='')
    assert (
        re.search(rf'accuracy/top1 +{re.escape(best)}\n', card)
        and re.search(r'images +20\n', card)
        and 'img/s' in card
    )
    for name, support in zip(('class_0', 'class_1', 'class_2'), (7, 7, 6)):
        assert re.search(rf'class {name} +precision \S+, recall \S+, f1-score \S+, support {support}\n', card)

    picture = next((tmp_path / 'data/test/class_0').iterdir())
    assert 'class_' in run(monkeypatch, capsys, *infer[1:-1], picture)

    subprocess.run(share, check=True)
    listed = subprocess.run(['tar', '-tf', share[2]], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(name.rsplit('/', 1)[1] for name in listed) == ['adapter.json', 'adapter.safetensors']


def test_per_class_figures_are_for_one_label_per_image(tmp_path, monkeypatch, capsys):
    words = [ROOT / 'tools/test.py', write_run(tmp_path), 'none', '--per-class']
    words += ['--cfg-options', 'model.head.type=MultiLabelLinearClsHead']
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, capsys, *words)
    assert end.value.code == 2 and 'expected a classifier with one label per image' in capsys.readouterr().err


def test_a_drawn_card_keeps_brackets_and_does_not_break_commands(monkeypatch):
    drawn = io.StringIO()
    monkeypatch.setattr(terminal, 'Console', lambda: Console(file=drawn, force_terminal=True, width=40))
    long = 'python tools/test.py ' + 'a' * 60
    terminal.show(terminal.logging.getLogger('none'), 'Card', {'last': 'runs/[bold]/epoch_2'}, {'test': long})
    assert 'runs/[bold]/epoch_2' in drawn.getvalue() and long in drawn.getvalue()
