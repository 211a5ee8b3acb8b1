"""Keep rates that change while a model trains: functions of the position, so that ranks agree and a resumed run goes on as it would have."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from hosts import mmpretrain_host, timm_host
from mmsparse.engine.keep_rate_warmup import KeepRateWarmupHook
from mmsparse.engine.random_keep_rate import RandomKeepRateHook
from mmsparse.errors import InputError
from mmsparse.registry import HOOKS, MODELS
from small_classifier import config
from small_run import write_run

LENGTH = 4  # iterations of an epoch


def a_runner(sparsifier, host=None, epochs=10, seed=3):
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=host or timm_host(), sparsifier=sparsifier))
    wrapped = nn.ModuleDict({'module': backbone})  # as under a distributed wrapper
    return SimpleNamespace(model=wrapped, train_dataloader=range(LENGTH), max_iters=epochs * LENGTH, iter=0, seed=seed)


def rates(runner):
    return [part.keep_rate for part in runner.model['module'].sparsifiers]


def rate_at(hook, runner, iteration):
    runner.iter = iteration
    hook.before_train_iter(runner, 0, dict(inputs=torch.zeros(1, 3, 32, 32)))
    return rates(runner)


@pytest.mark.parametrize('name', ['EViT', 'ATS', 'RandomDrop'])
def test_the_warmup_is_evits_schedule(name):
    """evit's helpers: 1 for epochs before the start, then base + (1 - base)·½(1 + cos(π·done)), then base."""
    runner, hook = a_runner(config(name)), KeepRateWarmupHook(start=2, epochs=5)
    hook.before_train(runner)
    for iteration in range(10 * LENGTH):
        if iteration < 2 * LENGTH:
            expected = 1.0
        elif iteration < 7 * LENGTH:
            expected = 0.7 + 0.3 * (math.cos(math.pi * (iteration - 2 * LENGTH) / (5 * LENGTH)) + 1) * 0.5
        else:
            expected = 0.7
        assert rate_at(hook, runner, iteration) == [pytest.approx(expected, abs=1e-12)]
    assert rates(runner) == [0.7]  # exactly: counts are taken from it


def test_the_warmup_brings_every_sparsifier_to_its_own_rate():
    parts = [dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5), config('NoOp'), dict(type='mmsparse.RandomDrop', layers=(4,), keep_rate=0.8)]
    runner, hook = a_runner(parts), KeepRateWarmupHook(start=0, epochs=4)
    hook.before_train(runner)
    for part, expected in zip((0, 2), (0.75, 0.9)):
        runner.iter = 2 * LENGTH
        hook.before_train_iter(runner, 0)
        assert runner.model['module'].sparsifiers[part].keep_rate == pytest.approx(expected)
    assert not hasattr(runner.model['module'].sparsifiers[1], 'keep_rate')


def test_random_rates_follow_from_seed_and_position_alone():
    hook = RandomKeepRateHook(keep_rates=(0.5, 0.7, 0.9))
    runner, other = a_runner(config('EViT')), a_runner(config('EViT'), seed=4)
    hook.before_train(runner)
    drawn = [rate_at(hook, runner, iteration)[0] for iteration in range(60)]
    assert all(15 <= drawn.count(rate) <= 25 for rate in (0.5, 0.7, 0.9))
    torch.rand(5)  # what else is drawn shifts nothing
    assert [rate_at(hook, runner, iteration)[0] for iteration in range(30, 60)] == drawn[30:]
    hook.after_train_iter(runner, 0)
    assert rates(runner) == [0.7]
    hook.before_train(other)
    assert [rate_at(hook, other, iteration)[0] for iteration in range(60)] != drawn


@pytest.mark.parametrize('stacked', [True, False])
@pytest.mark.parametrize('host', [timm_host(dynamic_img_size=True), mmpretrain_host()], ids=['timm', 'mmpretrain'])
def test_random_sizes_resize_the_whole_batch(host, stacked):
    runner, hook = a_runner(config('EViT'), host), RandomKeepRateHook(keep_rates=(0.5, 1.0), sizes=(16, 24, 32))
    hook.before_train(runner)
    images = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    seen = set()
    for runner.iter in range(20):
        batch = dict(inputs=images if stacked else list(images), data_samples='as they were')
        hook.before_train_iter(runner, 0, batch)
        resized = batch['inputs'] if stacked else torch.stack(batch['inputs'])
        assert resized.dtype == torch.uint8 and len(resized) == 5 and batch['data_samples'] == 'as they were'
        if resized.shape[-1] == 32:
            assert torch.equal(resized, images)
        assert runner.model['module'](resized.float() / 255)[-1].isfinite().all()
        seen.add((*resized.shape[-2:], *rates(runner)))
    assert seen == {(side, side, rate) for side in (16, 24, 32) for rate in (0.5, 1.0)}


@pytest.mark.parametrize('hook', [dict(type='KeepRateWarmupHook', start=0, epochs=1), dict(type='RandomKeepRateHook', keep_rates=(0.5,))])
@pytest.mark.parametrize(('sparsifier', 'have'), [('ToMe', 'ToMe'), ('NoOp', 'NoOp'), ('DynamicViT', 'DynamicViT'), (None, 'no sparsifier')])
def test_a_model_without_a_keep_rate_is_refused(hook, sparsifier, have):
    runner = a_runner(sparsifier and config(sparsifier))
    with pytest.raises(InputError, match=f'{hook["type"]}: the model has {have}; expected a sparsifier with one keep_rate'):
        HOOKS.build(hook | dict(type=f'mmsparse.{hook["type"]}')).before_train(runner)


@pytest.mark.parametrize(
    ('hook', 'message'),
    [
        (lambda: KeepRateWarmupHook(start=-1, epochs=2), 'received start=-1, epochs=2; expected numbers, start of at least 0'),
        (lambda: KeepRateWarmupHook(start='2', epochs=2), "received start='2', epochs=2; expected numbers"),
        (lambda: KeepRateWarmupHook(start=float('nan'), epochs=2), 'received start=nan, epochs=2; expected numbers'),
        (lambda: KeepRateWarmupHook(start=0, epochs=True), 'epochs=True; expected numbers'),
        (lambda: KeepRateWarmupHook(start=0, epochs=0), 'Leave the hook out'),
        (lambda: KeepRateWarmupHook(start=6, epochs=5), 'end after the training, which has 10 epochs'),
        (lambda: RandomKeepRateHook(keep_rates=()), 'expected lists of at least one value'),
        (lambda: RandomKeepRateHook(keep_rates=0.7), 'received keep_rates=0.7, sizes=None; expected lists'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=()), 'expected lists of at least one value'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=32), 'sizes=32; expected lists'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(0,)), r'received sizes=\(0,\), expected pixels'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(-8,)), 'integers above 0'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(24.0,)), 'integers above 0'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5, 1.5)), r'must lie in \(0, 1\], received 1.5'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(24,)), 'takes one size only. Set host.dynamic_img_size=True'),
    ],
)
def test_bad_schedules_are_refused(hook, message):
    with pytest.raises(InputError, match=message):
        hook().before_train(a_runner(config('EViT')))


def test_a_size_that_the_patches_do_not_divide_is_refused():
    with pytest.raises(InputError, match='which its patches of 8×8 do not divide'):
        RandomKeepRateHook(keep_rates=(0.5,), sizes=(24, 20)).before_train(a_runner(config('EViT'), timm_host(dynamic_img_size=True)))


class Witness(Hook):
    """Note the rate of each step and of each validation."""

    def __init__(self):
        self.train, self.val = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.train.append(runner.model.backbone.sparsifiers[0].seen)

    def before_val_epoch(self, runner):
        self.val.append(runner.model.backbone.sparsifiers[0].keep_rate)


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('schedule'), train=16, test=8)


def train(config_file, name, hook):
    """Three epochs of two steps; the rates under which each step's forward pass and each validation ran."""
    cfg = Config.fromfile(config_file)
    cfg.merge_from_dict(dict(work_dir=str(config_file.parent / name), experiment_name=name, custom_hooks=[hook]))
    runner, witness = Runner.from_cfg(cfg), Witness()
    runner.register_hook(witness, 'VERY_HIGH')
    part = runner.model.backbone.sparsifiers[0]
    ask = part.plan

    def plan(*args):
        part.seen = part.keep_rate
        return ask(*args)

    part.plan = plan
    runner.train()
    return witness


def test_a_run_validates_at_the_rate_that_its_warmup_has_reached(small):
    witness = train(small, 'warmup', dict(type='mmsparse.KeepRateWarmupHook', start=1, epochs=1.5))
    assert witness.train == pytest.approx([1, 1, 1, 0.925, 0.775, 0.7])
    assert witness.val == pytest.approx([1, 0.925, 0.7])


def test_a_run_validates_at_the_configured_rate_after_random_ones(small):
    witness = train(small, 'random', dict(type='mmsparse.RandomKeepRateHook', keep_rates=(0.4, 0.9)))
    assert set(witness.train) == {0.4, 0.9}
    assert witness.val == [0.7] * 3
