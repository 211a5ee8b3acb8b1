"""The benchmark times in turn, counts bytes exactly, and says under which conditions; no test here looks at a real
clock.
"""

import csv
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn

from hosts import images_for, mmpretrain_host, open_clip_host
from mmsparse.analysis import benchmark, table3
from mmsparse.analysis.benchmark import Row, Setting, measure, read_rows, write_rows
from mmsparse.analysis.contenders import Contender, build_contenders
from mmsparse.analysis.fixed_rate import hold_rate
from mmsparse.analysis.memory import held, nbytes, saved_bytes, transient_peak
from mmsparse.analysis.timing import Spread, interleave, speedup
from mmsparse.errors import InputError
from small_classifier import adapter, classifier, config
from small_run import refused, tool, write_run

CPU = torch.device('cpu')
FLOAT = 4


class Clock:
    """A clock that stands still until a call lets it go on."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def call(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds.pop(0) if isinstance(seconds, list) else seconds

        return run

    def read(self):
        return self.now


def test_calls_are_timed_in_turn_after_the_warm_up():
    clock = Clock()
    times = interleave(
        {'a': clock.call('a', 1.0), 'b': clock.call('b', [9.0, 0.5] + [2.0] * 6)}, 6, warmup=2, clock=clock.read
    )
    assert ''.join(clock.log) == 'aabb' + 'ab' * 6
    assert times == {'a': [1.0] * 6, 'b': [2.0] * 6}


def test_a_short_call_is_repeated_until_a_sample_is_long_enough():
    clock = Clock()
    times = interleave({'a': clock.call('a', 0.03), 'b': clock.call('b', 0.2)}, 5, warmup=1, clock=clock.read)
    assert ''.join(clock.log) == 'ab' + 'aaaab' * 5
    assert times['a'] == pytest.approx([0.03] * 5)


def test_the_device_is_waited_for_before_each_reading_of_the_clock():
    log = []
    interleave(
        {'a': lambda: log.append('call')},
        5,
        warmup=1,
        finish=lambda: log.append('finish'),
        clock=lambda: log.append('read') or 10.0 * len(log),
    )
    assert log == ['finish', 'read', 'call', 'finish', 'read'] * 6


def test_a_ratio_is_the_median_over_rounds_of_neighbours_in_time():
    reference, own = [4.0, 4.0, 4.0, 40.0, 4.0], [2.0, 1.0, 4.0, 20.0, 2.0]
    assert speedup(reference, own) == Spread(median=2.0, low=1.0, high=4.0)


@pytest.mark.parametrize('options', [dict(rounds=4), dict(warmup=0)])
def test_too_few_rounds_are_refused(options):
    with pytest.raises(InputError, match='at least 5 rounds'):
        interleave({'a': lambda: None}, **options)


class Small(nn.Module):
    """A frozen linear layer, a trained one behind a ReLU, and the input once more."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 4)
        self.first.requires_grad_(False)

    def forward(self, x):
        hidden = self.first(x).relu()
        return self.second(hidden) * x[:, :1]


def test_saved_bytes_are_those_worked_out_by_hand():
    model, x = Small(), torch.randn(5, 6)
    # The frozen layer saves nothing and the ReLU behind it needs no gradient; the trained layer saves its input, 5×10;
    # the product saves the column of x, whose storage of 5×6 stays alive whole. The other factor is only needed for
    # the gradient of x.
    assert saved_bytes(model, lambda: model(x)) == FLOAT * (5 * 10 + 5 * 6)
    model.first.requires_grad_(True)
    # Now the first layer saves x (counted once, with the product's view of it), the ReLU its output (which the second
    # layer saves too).
    assert saved_bytes(model, lambda: model(x)) == FLOAT * (5 * 10 + 5 * 6)
    x.requires_grad_(True)  # the product also saves its first factor, 5×4
    assert saved_bytes(model, lambda: model(x)) == FLOAT * (5 * 10 + 5 * 6 + 5 * 4)


def test_saved_bytes_leave_out_parameters_and_free_nothing_before_the_end():
    class Squares(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor, self.register = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(7))

        def forward(self, x):
            # intermediate results go out of scope one by one
            kept = [(x * self.factor * self.factor).square().sum() for _ in range(4)]
            return sum(kept)

    model, x = Squares(), torch.randn(8, 3)
    # Four times: x·f (for the second factor's gradient) and x·f·f (for the square); x once; the factor is a parameter.
    assert saved_bytes(model, lambda: model(x)) == FLOAT * (4 * 2 * 24 + 24)


def test_the_peak_is_what_lives_at_one_time():
    x = torch.randn(1000)

    def call():
        first = x.exp()  # 4000 bytes
        second = first.exp()  # 8000
        del first
        return second + second  # 8000 again: the first is gone

    assert transient_peak(call, CPU) == 2 * 4000
    assert transient_peak(lambda: x.exp_(), CPU) == 0


def test_what_a_model_holds_counts_shared_storage_once():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    optimiser = torch.optim.AdamW(model.parameters())
    assert nbytes(held(model, optimiser)) == FLOAT * (16 + 4 * 4) + 8
    model(torch.randn(3, 4)).sum().backward()
    optimiser.step()
    moments, steps = 2 * FLOAT * (16 + 2 * 4), 3 * FLOAT
    assert nbytes(held(model, optimiser)) == FLOAT * (16 + 4 * 4) + 8 + moments + steps


@pytest.mark.parametrize('rate', [1.0, 0.6, 0.3])
def test_a_held_rate_is_the_rate_that_runs(rate):
    model = classifier(dict(config('DyTDispatcher'), rate=rate), adapter())
    model.eval()
    images = images_for(batch=5)
    rows = []
    for block in model.backbone.view.blocks:
        block.mlp.fc1.register_forward_pre_hook(lambda module, inputs: rows.append(inputs[0][..., 0].numel()))
    assert hold_rate(model, images) == pytest.approx(rate, abs=0.5 / (5 * 16))
    rows.clear()
    with torch.no_grad():
        model(images, mode='tensor')
    active = 5 + round(rate * 5 * 16)
    assert rows == [active] * 5 + [5]  # the last block runs for the class token alone
    assert hold_rate(classifier(None), images) is None


def small_pair():
    sparse = Contender('sparse', classifier(config('EViT'), adapter()))
    dense = Contender('dense', classifier(None))
    dense.module.requires_grad_(True)
    return [dense, sparse]


@pytest.fixture
def instant(monkeypatch):
    """Every call takes one second by the benchmark's clock: nothing is repeated."""
    clock = Clock()

    def read():
        clock.now += 1.0
        return clock.now

    monkeypatch.setattr(benchmark, 'CLOCKS', dict(wall=read, cpu=read))


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
@pytest.mark.parametrize('phase', ['test', 'train'])
def test_a_row_states_its_conditions_and_counts(instant, phase, precision):
    pair = small_pair()
    weights = [parameter.clone() for parameter in pair[1].module.parameters()]
    rows = measure(pair, Setting(phase, batch=4, precision=precision))
    assert [(row.contender, row.phase, row.batch, row.device, row.precision, row.mode) for row in rows] == [
        (name, phase, 4, 'cpu', precision, 'eager') for name in ('dense', 'sparse')
    ]
    for row in rows:
        assert (row.clock, row.live_bytes < row.peak_bytes) == ('wall', True)
        assert (row.threads, row.rounds, row.milliseconds, row.ratio) == (torch.get_num_threads(), 5, 1000.0, 1.0)
        assert row.images_per_second == 4
        assert row.clock_mhz is None or row.clock_mhz > 0
    dense, sparse = rows
    assert dense.trainable == dense.parameters and sparse.trainable < sparse.parameters / 5
    trained = [bool((now != before).any()) for now, before in zip(pair[1].module.parameters(), weights)]
    if phase == 'test':
        assert dense.saved_bytes is sparse.saved_bytes is None and not any(trained)
    else:
        assert sparse.saved_bytes < dense.saved_bytes and sparse.peak_bytes < dense.peak_bytes
        assert sparse.live_bytes < dense.live_bytes < dense.peak_bytes
        assert trained == [parameter.requires_grad for parameter in pair[1].module.parameters()]


def test_training_and_testing_are_what_the_project_does(instant):
    model = classifier(config('DynamicViT'), adapter())
    (row,) = measure([Contender('dynamic', model)], Setting('train', batch=3))
    assert row.saved_bytes > 0
    images = images_for(batch=3)
    torch.manual_seed(0)
    with_its_losses = Contender('dynamic', model).loss(model, images)
    torch.manual_seed(0)
    with torch.no_grad():  # a training step without the parts' losses is refused
        classes = Contender('dynamic', model).predict(model, images)
    # ratio and distillation are in it
    assert with_its_losses > nn.functional.cross_entropy(classes, torch.zeros(3, dtype=torch.long)) + 0.1


def test_compiled_rows_run_the_compiled_network(instant, monkeypatch):
    compiled, compile_with = [], torch.compile

    def compiler(module, **options):  # 'eager' shows that the graph is caught, without a minute of C++
        compiled.append(module)
        return compile_with(module, backend='eager', **options)

    monkeypatch.setattr(torch, 'compile', compiler)
    eager, own = (measure(small_pair()[1:], Setting('test', 2, mode=mode))[0] for mode in ('eager', 'compiled'))
    assert (eager.mode, own.mode, len(compiled)) == ('eager', 'compiled', 1)


def test_rows_survive_the_file(tmp_path):
    common = ('train', 8, 'cpu', 'fp32', 'eager', 2, None, 5, 'wall', 0.1, 1 / 3, 2e-7, 80.0, 1.5, 1.25, 1.75)
    rows = [Row('a, "quoted"', *common, 123, 400, 456, 7, 8), Row('b', *common, None, 400, 456, 7, 8, ffn_rate=0.3)]
    write_rows(rows, tmp_path / 'rows.csv')
    assert read_rows(tmp_path / 'rows.csv') == rows
    with (tmp_path / 'rows.csv').open() as file:
        assert [line['clock_mhz'] for line in csv.DictReader(file)] == ['', '']


@pytest.mark.parametrize(
    ('setting', 'words'),
    [
        (Setting('test', 0), 'a batch of 0'),
        (Setting('test', 1, rounds=4), 'at least 5 rounds'),
        pytest.param(
            Setting('test', 1, device='cuda'),
            'use --device cpu',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='has CUDA'),
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(setting, words):
    with pytest.raises(InputError, match=f'(?i){words}'):
        measure([Contender('small', classifier(None))], setting)


def test_cpu_time_is_of_one_thread_and_leaves_out_what_others_do(monkeypatch):
    monkeypatch.setitem(benchmark.CLOCKS, 'wall', lambda: pytest.fail('the wall clock was read'))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        (row,) = measure([Contender('small', classifier(None))], Setting('test', 1, clock='cpu'))
        assert row.clock == 'cpu' and row.milliseconds > 0
        torch.set_num_threads(2)
        with pytest.raises(InputError, match='clock cpu for cpu and 2 threads.*--threads 1'):
            measure([Contender('small', classifier(None))], Setting('test', 1, clock='cpu'))
    finally:
        torch.set_num_threads(threads)


def test_a_config_is_measured_folded_where_nothing_trains(tmp_path, instant, capsys):
    args = ('dense', write_run(tmp_path), '--fold', '--batch', 1, '--train-batch', 2, '--table3', '--out', tmp_path)
    assert tool('analysis_tools/benchmark.py', *args) == 0
    assert 'small, folded' in capsys.readouterr().out
    rows = read_rows(tmp_path / 'benchmark.csv')
    found = [(row.contender, row.phase) for row in rows]
    assert found == [
        ('dense', 'test'),
        ('small', 'test'),
        ('small, folded', 'test'),
        ('dense', 'train'),
        ('small', 'train'),
    ]
    assert rows[2].trainable == 3 * 32 + 3  # the head


@pytest.mark.parametrize('args', [['small.py', '--phase', 'train'], ['test_vit']], ids=str)
def test_what_has_no_form_for_testing_is_refused(tmp_path, capsys, args):
    write_run(tmp_path)
    args[0] = tmp_path / args[0] if args[0].endswith('.py') else args[0]
    assert '--fold: received' in refused(capsys, 'analysis_tools/benchmark.py', *args, '--fold')


def test_a_frozen_network_and_a_name_given_twice_are_refused():
    frozen = Contender('frozen', Small().requires_grad_(False))
    with pytest.raises(InputError, match='frozen: nothing in it trains'):
        measure([frozen], Setting('train', 1))
    with pytest.raises(InputError, match='each one once'):
        measure([frozen, frozen], Setting('test', 1))


def make_network():
    """What a user's function returns."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5))


def make_nothing():
    return 'a network'


@pytest.fixture
def own_module(monkeypatch):
    monkeypatch.setitem(sys.modules, 'of_a_user', SimpleNamespace(network=make_network, nothing=make_nothing))


def small_config(tmp_path, **changes):
    cfg = Config.fromfile(write_run(tmp_path))
    cfg.merge_from_dict(changes)
    return cfg


def test_a_config_its_dense_host_a_timm_name_and_a_function_meet(tmp_path, own_module):
    found = build_contenders(['dense', 'small', 'test_vit', 'of_a_user:network'], {'small': small_config(tmp_path)})
    assert [contender.name for contender in found] == ['dense', 'small', 'test_vit', 'of_a_user:network']
    assert [contender.image_size for contender in found] == [(32, 32)] * 3 + [None]
    dense, small, timm_host, _ = (contender.module for contender in found)
    assert {key: value.shape for key, value in small.backbone.host.named_parameters()}.items() <= {
        key: value.shape for key, value in dense.named_parameters()
    }.items()
    assert all(parameter.requires_grad for parameter in dense.parameters()) and not any(
        p.requires_grad for p in small.backbone.host.parameters()
    )
    assert dense.head.out_features == timm_host.head.out_features == small.head.num_classes == 3
    images = torch.randn(2, 3, 32, 32)
    for contender in found:
        assert (
            len(contender.predict(contender.module, images)) == 2
            and contender.loss(contender.module, images).requires_grad
        )


def test_dense_is_the_host_of_an_mmpretrain_config_too(tmp_path):
    cfg = small_config(tmp_path)
    cfg.model.backbone.host = mmpretrain_host(width=32, depth=2, heads=2)
    dense, small = build_contenders(['dense', 'small'], {'small': cfg})
    assert type(dense.module.backbone).__name__ == 'VisionTransformer' and all(
        p.requires_grad for p in dense.module.backbone.layers.parameters()
    )
    images = torch.randn(2, 3, 32, 32)
    assert dense.predict(dense.module, images).shape == small.predict(small.module, images).shape == (2, 3)


def test_a_tower_of_open_clip_is_measured_at_its_own_size(tmp_path):
    cfg = Config.fromfile(write_run(tmp_path))
    cfg.model.backbone.host = open_clip_host(width=32, depth=4, heads=2)
    dense, ours = build_contenders(['dense', 'ours'], {'ours': cfg})
    assert ours.image_size == (32, 32)
    assert dense.module(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ('specs', 'words'),
    [
        (['vit_base_patch16_223'], 'Did you mean .*vit_base_patch16_224'),
        (['of_a_user:network', 'vit_base_patch16_224', 'test_vit'], '224×224.*160×160'),
        (['of_a_user:missing'], 'cannot be imported'),
        (['no_such_module:network'], 'cannot be imported'),
        (['of_a_user:nothing'], 'returned str'),
        (['dense'], 'no config with a host'),
    ],
)
def test_what_is_no_contender_is_refused(own_module, specs, words):
    with pytest.raises(InputError, match=words):
        build_contenders(specs, {})


def test_a_config_of_no_classifier_is_refused(tmp_path):
    with pytest.raises(InputError, match='received a config of NoneType'):
        build_contenders(['empty'], {'empty': Config(dict())})


def test_table3_is_the_papers_and_ours_as_shares_of_full_tuning(instant):
    paper = {cost.method: cost for cost in table3.paper_costs()}
    assert (round(paper['Sparse-Tuning'].tuning_memory, 2), round(paper['Sparse-Tuning'].inference_time, 2)) == (
        0.50,
        0.51,
    )
    assert all(
        getattr(paper['Full fine-tuning'], key) == 1
        for key in ('tuning_memory', 'inference_memory', 'tuning_time', 'inference_time', 'gflops')
    )
    pair = small_pair()
    train, test = (measure(pair, Setting(phase, 2)) for phase in ('train', 'test'))
    full, sparse = table3.our_costs(pair, train, test)
    assert (full.tuning_memory, full.inference_memory, full.tuning_time, full.inference_time, full.gflops) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert sparse.millions == sum(p.numel() for p in pair[1].module.backbone.adapters.parameters()) / 1e6
    assert sparse.gflops < 1 and sparse.tuning_memory == train[1].peak_bytes / train[0].peak_bytes
    with pytest.raises(InputError, match='sparse, do not train; expected full tuning'):
        table3.our_costs(pair[::-1], train, test)


def test_multiply_adds_of_a_timm_network_are_those_of_the_same_host_without_parts(tmp_path):
    cfg = small_config(tmp_path, **{'model.backbone.adapter': None, 'model.backbone.sparsifier': None})
    dense, small = build_contenders(['dense', 'small'], {'small': cfg})
    assert table3.image_macs(dense) == table3.image_macs(small) > 0


def test_one_command_writes_the_table_the_file_and_the_picture(tmp_path, instant, capsys):
    args = ('dense', write_run(tmp_path), '--batch', 1, 2, '--train-batch', 2, '--table3', '--out', tmp_path / 'out')
    assert tool('analysis_tools/benchmark.py', *args) == 0
    shown = capsys.readouterr().out
    assert 'paper: Sparse-Tuning' in shown and 'times as fast' in shown and 'threads' in shown and 'MHz' in shown
    rows = read_rows(tmp_path / 'out/benchmark.csv')
    assert [(row.contender, row.phase, row.batch) for row in rows] == [
        (name, phase, batch)
        for phase, batch in (('test', 1), ('test', 2), ('train', 2))
        for name in ('dense', 'small')
    ]
    assert (tmp_path / 'out/benchmark.png').read_bytes().startswith(b'\x89PNG') and '<svg' in (
        tmp_path / 'out/benchmark.svg'
    ).read_text()


def test_a_config_is_varied_in_one_command(tmp_path, instant, capsys):
    args = (
        write_run(tmp_path),
        '--vary',
        'model.backbone.sparsifier.keep_rate=1.0,0.5',
        '--phase',
        'test',
        '--batch',
        1,
        '--out',
        tmp_path / 'out',
    )
    assert tool('analysis_tools/benchmark.py', *args) == 0
    assert [row.contender for row in read_rows(tmp_path / 'out/benchmark.csv')] == [
        'small, keep_rate=1.0',
        'small, keep_rate=0.5',
    ]


def test_the_command_refuses_with_one_message(tmp_path, capsys):
    name, own = 'analysis_tools/benchmark.py', write_run(tmp_path)
    assert 'expected full tuning' in refused(capsys, name, own, '--table3')
    assert 'Leave out --phase' in refused(capsys, name, own, '--table3', '--phase', 'test')
    assert 'nothing to vary' in refused(capsys, name, 'test_vit', '--vary', 'a=1,2')
    assert 'a batch of 0' in refused(capsys, name, own, '--batch', 0, '--out', tmp_path)
    assert 'keep_rat' in refused(capsys, name, own, '--cfg-options', 'model.backbone.sparsifier.keep_rat=0.5')
    assert 'Did you mean' in refused(capsys, name, own.with_name('smal.py'))
