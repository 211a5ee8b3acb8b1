"""Figures come from result files; a file that lacks something is refused by name."""

import re
from xml.etree import ElementTree

import pytest

from hosts import mmpretrain_vit
from mmsparse.analysis.figures import draw_results, draw_tokens
from mmsparse.analysis.results import Result, read_results
from small_run import refused, tool, write_run

TOOL = 'analysis_tools/plot_results.py'
TEXT = """method,seed,accuracy,gflops,trainable_kib
Sparse-Tuning,0,93.0,0.120,720
Sparse-Tuning,1,94.0,0.120,720
linear probe,0,61.0,0.168,5.04
"""


@pytest.fixture
def results(tmp_path):
    (tmp_path / 'results.csv').write_text(TEXT)
    return tmp_path / 'results.csv'


def words(path):
    """The texts of an SVG, which has to be well-formed."""
    return [element.text for element in ElementTree.parse(path).iter('{http://www.w3.org/2000/svg}text')]


def test_results_are_read_with_other_columns_left_alone(results):
    assert read_results([results, results])[:3] == [
        Result('Sparse-Tuning', 93.0, 0.12, 720.0),
        Result('Sparse-Tuning', 94.0, 0.12, 720.0),
        Result('linear probe', 61.0, 0.168, 5.04),
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (
            'method,accuracy,macs\na,1,2\n',
            'the columns gflops, trainable_kib are missing; received method, accuracy, macs',
        ),
        ('', 'the columns method, accuracy, gflops, trainable_kib are missing; received an empty file'),
        ('method,accuracy,gflops,trainable_kib\n', 'no rows below the head'),
        (TEXT + 'DyT,0,,0.1,7\n', "line 5: could not convert string to float: ''"),
        (TEXT + 'DyT,0,90\n', 'line 5: '),
    ],
)
def test_an_unusable_result_file_is_one_clear_error(results, capsys, text, message):
    results.write_text(text)
    found = refused(capsys, TOOL, results)
    assert str(results) in found and message in found
    assert 'No such file' in refused(capsys, TOOL, results.with_name('result.csv'))


def test_every_method_is_one_point_with_the_reach_of_its_runs(results, monkeypatch, tmp_path):
    from matplotlib.axes import Axes

    points, draw = {}, Axes.errorbar

    def errorbar(self, x, y, yerr, label, **options):
        points[label] = (x, y, yerr)
        return draw(self, x, y, yerr=yerr, label=label, **options)

    monkeypatch.setattr(Axes, 'errorbar', errorbar)
    draw_results(read_results([results]), 'trainable_kib', tmp_path / 'figure')
    assert points == {'Sparse-Tuning': (720, 93.5, [[0.5], [0.5]]), 'linear probe': (5.04, 61.0, [[0.0], [0.0]])}


def test_one_command_draws_results_and_tokens_as_png_and_svg(results, tmp_path):
    assert tool(TOOL, results, '--tokens', write_run(tmp_path), '--out', tmp_path / 'figures') == 0
    names = ['accuracy_over_gflops', 'accuracy_over_trainable_kib', 'tokens_per_layer']
    assert sorted(path.name for path in (tmp_path / 'figures').iterdir()) == sorted(
        f'{name}.{kind}' for name in names for kind in ('png', 'svg')
    )
    for name in names:
        assert (tmp_path / 'figures' / f'{name}.png').read_bytes().startswith(b'\x89PNG')
    assert {'Sparse-Tuning', 'linear probe', 'top-1, %'} <= set(words(tmp_path / 'figures/accuracy_over_gflops.svg'))
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
