"""Figures come from result files; a file that lacks something is refused by name."""

import re
from xml.etree import ElementTree

import pytest

from hosts import mmpretrain_vit
from mmsparse.analysis.figures import draw_results, draw_tokens
from mmsparse.errors import InputError
from mmsparse.visualization.result_file import Result, check_protocol, read_results, write_results
from small_run import refused, tool, write_run

TOOL = 'analysis_tools/plot_results.py'
HEAD = 'method,seed,dataset,score,gflops,trainable_kib,notes\n'
TEXT = f"""{HEAD}Sparse-Tuning,0,digits,93.0,0.120,720,
Sparse-Tuning,1,digits,94.0,0.120,720,
linear probe,0,digits,61.0,0.168,5.04,the head alone
"""


@pytest.fixture
def results(tmp_path):
    (tmp_path / 'results.csv').write_text(TEXT)
    return tmp_path / 'results.csv'


def words(path):
    """The texts of an SVG, which has to be well-formed."""
    return [element.text for element in ElementTree.parse(path).iter('{http://www.w3.org/2000/svg}text')]


def test_results_are_read_with_other_columns_left_alone_and_written_again(results, tmp_path):
    found = read_results([results, results])
    assert found == [
        Result('Sparse-Tuning', 'digits', 0, 93.0, gflops=0.12, trainable_kib=720.0),
        Result('Sparse-Tuning', 'digits', 1, 94.0, gflops=0.12, trainable_kib=720.0),
        Result('linear probe', 'digits', 0, 61.0, gflops=0.168, trainable_kib=5.04),
    ]
    found.append(Result('all known', 'vtab/svhn', 2, 50.5, 'mIoU', 51.0, 1.5, 2.5, 'bfloat16', '100 epochs'))
    write_results(found, tmp_path / 'again.csv')
    assert read_results([tmp_path / 'again.csv']) == found


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('method,seed,macs\na,1,2\n', 'the columns dataset, score are missing; received method, seed, macs'),
        ('', 'the columns method, dataset, seed, score are missing; received an empty file'),
        (HEAD, 'no rows below the head'),
        ('table,row,dataset,top1\nV,d,SVHN,9\n', 'the column row is now called method. Rename it in the header'),
        ('method,accuracy,gflops\na,1,2\n', 'the column accuracy is now called score'),
        ('method,dataset,seed,score,gflop\na,b,0,1,2\n', 'received a column gflop. Did you mean gflops?'),
        (TEXT + 'DyT,0,digits,,0.1,7,\n', "line 5: received score='', expected a percentage from 0 to 100"),
        (TEXT + 'DyT,0,digits,101,0.1,7,\n', "line 5: received score='101', expected a percentage"),
        (TEXT + 'DyT,0,digits,nan,0.1,7,\n', "line 5: received score='nan', expected a percentage"),
        (TEXT + 'DyT,0,digits,90,many,7,\n', "line 5: received gflops='many', expected a number of at least 0"),
        (TEXT + 'DyT,a,digits,90,0.1,7,\n', "line 5: received seed='a', expected a whole number"),
        (TEXT + ',0,digits,90,0.1,7,\n', 'line 5: received an empty method'),
        (TEXT + 'DyT,0,90\n', 'line 5: '),
        (TEXT + 'Sparse-Tuning,1,digits,94.5,0.120,720,\n', 'Sparse-Tuning on digits, seed 1 stands also in'),
        (TEXT + 'DyT,0,digits,90,,7,\n', 'DyT on digits, seed 0: its gflops is not known'),
    ],
)
def test_an_unusable_result_file_is_one_clear_error(results, capsys, text, message):
    results.write_text(text)
    found = refused(capsys, TOOL, results)
    assert str(results) in found or 'not known' in message
    assert message in found
    assert 'No such file' in refused(capsys, TOOL, results.with_name('result.csv'))


@pytest.mark.parametrize('entry', [dict(precision='bfloat16'), dict(length='2 epochs'), dict(metric='mIoU')])
def test_runs_of_two_protocols_do_not_stand_in_one_table(entry):
    known = dict(precision='float32', length='1 epochs')
    first = Result('a', 'digits', 0, 1.0, **known)
    others = [Result('b', 'digits', 0, 1.0), Result('b', 'photos', 0, 1.0, **known | entry)]
    check_protocol([first, *others])  # not known, or on other data
    with pytest.raises(InputError, match=f'^digits: runs of one table differ in {next(iter(entry))}: .* b on digits'):
        check_protocol([first, *others, Result('b', 'digits', 1, 1.0, **known | entry)])


def test_every_method_is_one_point_with_the_interval_of_its_runs(results, monkeypatch, tmp_path):
    from matplotlib.axes import Axes

    points, draw = {}, Axes.errorbar

    def errorbar(self, x, y, yerr, label, **options):
        points[label] = (x, y, yerr)
        return draw(self, x, y, yerr=yerr, label=label, **options)

    monkeypatch.setattr(Axes, 'errorbar', errorbar)
    draw_results(read_results([results]), 'trainable_kib', tmp_path / 'figure')
    # standard error .5, and t(1 degree, 97.5 %) = 12.706
    assert points == {
        'Sparse-Tuning, n = 2': (720, 93.5, pytest.approx(6.353, abs=1e-3)),
        'linear probe, n = 1': (5.04, 61.0, 0),
    }


def test_several_data_sets_are_several_figures(tmp_path):
    runs = [Result('a', data, 0, 1.0, gflops=1.0) for data in ('CIFAR-100', 'vtab/svhn')]
    assert [file.name for file in draw_results(runs, 'gflops', tmp_path / 'over')] == [
        f'over_{data}.{kind}' for data in ('cifar_100', 'vtab_svhn') for kind in ('png', 'svg')
    ]


def test_one_command_draws_results_and_tokens_as_png_and_svg(results, tmp_path):
    assert tool(TOOL, results, '--tokens', write_run(tmp_path), '--out', tmp_path / 'figures') == 0
    names = ['accuracy_over_gflops', 'accuracy_over_trainable_kib', 'tokens_per_layer']
    assert sorted(path.name for path in (tmp_path / 'figures').iterdir()) == sorted(
        f'{name}.{kind}' for name in names for kind in ('png', 'svg')
    )
    for name in names:
        assert (tmp_path / 'figures' / f'{name}.png').read_bytes().startswith(b'\x89PNG')
    assert {'Sparse-Tuning, n = 2', 'linear probe, n = 1', 'top1, %'} <= set(
        words(tmp_path / 'figures/accuracy_over_gflops.svg')
    )
    assert {'small', 'layer'} <= set(words(tmp_path / 'figures/tokens_per_layer.svg'))


def test_the_same_input_gives_the_same_svg(tmp_path):
    first, second = (draw_tokens({'a': [17, 12]}, tmp_path / name)[1].read_text() for name in ('first', 'second'))
    assert first == second and not re.search(r'<dc:date>', first)


def test_nothing_to_draw_and_a_backbone_without_tokens_are_refused(tmp_path, capsys):
    assert tool(TOOL) == 2
    assert 'nothing to draw' in capsys.readouterr().err
    own = write_run(tmp_path)
    plain = tmp_path / 'plain.py'
    plain.write_text(f"_base_ = ['{own.name}']\nmodel = dict(backbone={mmpretrain_vit(_delete_=True)})\n")
    assert 'its backbone is a VisionTransformer' in refused(capsys, TOOL, '--tokens', plain)
