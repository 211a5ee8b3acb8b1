"""The number format: what is chosen where, what runs in it, and what says so."""

import os
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmsparse.analysis.trials import key_of
from mmsparse.engine import precision
from mmsparse.engine.autocast import AutocastOptimWrapper
from mmsparse.engine.precision import check_wrapper, choose, precision_of, set_precision
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from small_run import ROOT, write_run

OURS = dict(type='mmsparse.AutocastOptimWrapper', optimizer=dict(type='SGD', lr=0.1))


@pytest.fixture
def machine(monkeypatch):
    """Make a machine whose products in bfloat16 are so many times as fast, with a GPU of a compute capability or
    none.
    """

    def make(gain: float, capability: tuple | None = None):
        monkeypatch.setattr(precision, '_gain', lambda: gain)
        monkeypatch.setattr(precision, 'get_device', lambda: 'cuda' if capability else 'cpu')
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: bool(capability))
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: capability)
        monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'some GPU')

    return make


def wrap(**entries) -> AutocastOptimWrapper:
    return build_optim_wrapper(nn.Linear(4, 4), dict(OURS, **entries))


@pytest.mark.parametrize(
    ('gain', 'capability', 'asked', 'expected'),
    [
        (2.1, None, 'auto', 'bfloat16 (products are 2.1 × as fast as in float32 here)'),
        (1.1, None, 'auto', 'float32 (bfloat16 is no faster here)'),
        (0.1, None, 'auto', 'float32 (bfloat16 is 10 × slower here)'),
        (0.1, None, 'bf16', 'bfloat16 (products are 10 × slower than in float32 here)'),
        (0.1, None, 'half', 'bfloat16 (products are 10 × slower than in float32 here)'),
        (2.1, None, 'fp32', 'float32 (as asked)'),
        (0.1, (8, 0), 'auto', 'bfloat16 (the fastest on some GPU)'),
        (2.1, (7, 5), 'auto', 'float16 (the fastest on some GPU)'),
        (2.1, (6, 1), 'auto', 'float32 (the fastest on some GPU)'),
        (2.1, (7, 0), 'fp16', 'float16 (as asked)'),
        (2.1, (7, 0), 'half', 'float16 (the fastest on some GPU)'),
    ],
)
def test_the_faster_format_is_chosen_unless_someone_has_chosen(machine, gain, capability, asked, expected):
    machine(gain, capability)
    assert str(choose(asked)) == expected


def test_a_cpu_without_bfloat16_gets_float32():
    """oneDNN told to use AVX2 alone behaves as on such a CPU; so do torch's own kernels."""
    script = 'from mmsparse.engine.precision import choose; print(choose())'
    env = {**os.environ, 'ONEDNN_MAX_CPU_ISA': 'AVX2', 'PYTHONPATH': str(ROOT)}
    text = subprocess.run(
        [sys.executable, '-c', script], env=env, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert text.splitlines()[-1].startswith('float32 (bfloat16 is ') and text.rstrip().endswith(' × slower here)')


def test_measuring_draws_nothing_and_leaves_the_threads():
    precision._gain.cache_clear()
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert precision._gain() > 0 and precision._gain.cache_info().currsize == 1
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads


@pytest.mark.parametrize('dtype', ['auto', 'float32', 'bfloat16'])
@pytest.mark.parametrize('gain', [0.1, 2.0])
def test_the_wrapper_trains_in_what_was_chosen(machine, gain, dtype):
    machine(gain)
    wrapper, layer = wrap(dtype=dtype), nn.Linear(4, 4)
    with wrapper.optim_context(layer):
        found = layer(torch.ones(1, 4)).dtype
    assert found == torch.float32 if dtype == 'float32' or (dtype == 'auto' and gain < 1) else torch.bfloat16


def test_steps_in_float32_are_those_of_the_plain_wrapper(machine):
    machine(0.1)
    layers = [nn.Linear(4, 4) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    more = dict(accumulative_counts=2, clip_grad=dict(max_norm=0.1), loss_scale=64.0)  # only float16 scales
    kinds = dict(OURS, **more), dict(optimizer=OURS['optimizer'], accumulative_counts=2, clip_grad=more['clip_grad'])
    for layer, wrapper in zip(layers, (build_optim_wrapper(layer, kind) for layer, kind in zip(layers, kinds))):
        for step in range(4):
            with wrapper.optim_context(layer):
                wrapper.update_params(layer(torch.full((1, 4), 1.0 + step)).square().sum())
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_what_the_device_has_not_is_refused_before_data_is_loaded(tmp_path):
    cfg = Config.fromfile(write_run(tmp_path))
    cfg.merge_from_dict({'work_dir': str(tmp_path / 'run'), 'train_dataloader.dataset.data_root': 'nowhere'})
    for wrapper, words in [
        (dict(OURS, dtype='float16'), r'float16 .*on a CPU.*Use auto'),
        (dict(OURS, dtype='float64'), "received 'float64', expected one of: auto, float32, bfloat16, float16"),
        (dict(type='AmpOptimWrapper', optimizer=OURS['optimizer']), 'AmpOptimWrapper needs a GPU'),
    ]:
        cfg.optim_wrapper = wrapper
        with pytest.raises(InputError, match=words):
            SparseRunner.from_cfg(cfg).train()
        with pytest.raises(InputError, match=words):
            check_wrapper(dict(constructor='some', one=wrapper))


def test_the_command_line_wins_over_the_config():
    cfg = Config(
        dict(optim_wrapper=dict(type='AmpOptimWrapper', dtype='float16', loss_scale=512.0, optimizer=dict(type='SGD')))
    )
    set_precision(cfg, 'fp32')
    expected = dict(
        type='mmsparse.AutocastOptimWrapper', dtype='float32', loss_scale=512.0, optimizer=dict(type='SGD')
    )
    assert cfg.optim_wrapper.to_dict() == expected
    with pytest.raises(InputError, match='ApexOptimWrapper.*Change it in the config'):
        set_precision(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper', optimizer={}))), 'bf16')


def test_a_ledger_keeps_formats_apart(machine):
    keys = []
    for gain, dtype in [(2.0, 'auto'), (2.0, 'bfloat16'), (0.1, 'auto'), (0.1, 'float32')]:
        machine(gain)
        keys.append(key_of(Config(dict(optim_wrapper=dict(OURS, dtype=dtype)))))
        assert precision_of(dict(OURS, dtype=dtype)) == ('bfloat16' if gain > 1 else 'float32')
    assert keys[0] == keys[1] != keys[2] == keys[3]


def test_a_run_that_goes_on_in_another_format_says_so(machine, monkeypatch):
    machine(2.0)
    state = wrap().state_dict()
    said = []
    monkeypatch.setattr('mmsparse.engine.autocast.print_log', lambda text, *_: said.append(text))
    wrap().load_state_dict(dict(state))
    assert said == []
    wrap(dtype='float32').load_state_dict(dict(state))
    assert said == ['The state was trained in bfloat16, this run goes on in float32 (as asked).']
