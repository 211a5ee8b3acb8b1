"""Keep rates that change while a model trains: functions of the position, so that ranks agree and a resumed run goes
on as it would have.
"""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import METRICS
from torch import nn

from hosts import mmpretrain_host, timm_host
from mmsparse.engine.hooks.keep_rate_warmup import KeepRateWarmupHook
from mmsparse.engine.hooks.random_keep_rate import RandomKeepRateHook
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from mmsparse.registry import HOOKS, MODELS
from small_classifier import config
from small_run import two_processes, write_run

LENGTH = 4  # iterations of an epoch


def a_runner(sparsifier, host=None, epochs=10, seed=3):
    backbone = MODELS.build(dict(type='mmsparse.SparseViT', host=host or timm_host(), sparsifier=sparsifier))
    wrapped = nn.ModuleDict({'module': backbone})  # as under a distributed wrapper
    return SimpleNamespace(
        model=wrapped, train_dataloader=range(LENGTH), max_iters=epochs * LENGTH, iter=0, seed=seed, hooks=[]
    )


def rates(runner):
    return [part.keep_rate for part in runner.model['module'].sparsifiers]


def rate_at(hook, runner, iteration):
    runner.iter = iteration
    hook.before_train_iter(runner, 0, dict(inputs=torch.zeros(1, 3, 32, 32)))
    return rates(runner)


@pytest.mark.parametrize('name', ['EViT', 'ATS', 'AdaptiveKeep', 'RandomDrop'])
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
    parts = [
        dict(type='mmsparse.EViT', layers=(2,), keep_rate=0.5),
        config('NoOp'),
        dict(type='mmsparse.RandomDrop', layers=(4,), keep_rate=0.8),
    ]
    runner, hook = a_runner(parts), KeepRateWarmupHook(start=0, epochs=4)
    hook.before_train(runner)
    for part, expected in zip((0, 2), (0.75, 0.9)):
        runner.iter = 2 * LENGTH
        hook.before_train_iter(runner, 0)
        assert runner.model['module'].sparsifiers[part].keep_rate == pytest.approx(expected)
    assert not hasattr(runner.model['module'].sparsifiers[1], 'keep_rate')


def test_one_step_at_the_configured_rate_is_enough():
    runner, hook = a_runner(config('EViT')), KeepRateWarmupHook(start=5, epochs=5 - 1 / LENGTH)
    hook.before_train(runner)
    assert rate_at(hook, runner, runner.max_iters - 2)[0] > 0.7 and runner.provisional
    assert rate_at(hook, runner, runner.max_iters - 1) == [0.7] and not runner.provisional


def test_a_resumed_run_that_still_owes_a_validation_owes_it_at_the_rate_of_its_last_step():
    for iteration in (5, 12, 36):
        runner, hook = a_runner(config('EViT')), KeepRateWarmupHook(start=1, epochs=5)
        hook.before_train(runner)
        expected = rate_at(hook, runner, iteration - 1)
        resumed = a_runner(config('EViT'))
        resumed.iter = iteration
        KeepRateWarmupHook(start=1, epochs=5).before_train(resumed)
        assert rates(resumed) == expected and resumed.provisional == runner.provisional


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


@pytest.mark.parametrize(
    'hook', [dict(type='KeepRateWarmupHook', start=0, epochs=1), dict(type='RandomKeepRateHook', keep_rates=(0.5,))]
)
@pytest.mark.parametrize(
    ('sparsifier', 'have'), [('ToMe', 'ToMe'), ('NoOp', 'NoOp'), ('DynamicViT', 'DynamicViT'), (None, 'no sparsifier')]
)
def test_a_model_without_a_keep_rate_is_refused(hook, sparsifier, have):
    runner = a_runner(sparsifier and config(sparsifier))
    with pytest.raises(
        InputError, match=f'{hook["type"]}: the model has {have}; expected a sparsifier with one keep_rate'
    ):
        HOOKS.build(hook | dict(type=f'mmsparse.{hook["type"]}')).before_train(runner)


@pytest.mark.parametrize(
    ('hook', 'message'),
    [
        (
            lambda: KeepRateWarmupHook(start=-1, epochs=2),
            'received start=-1, epochs=2; expected numbers, start of at least 0',
        ),
        (lambda: KeepRateWarmupHook(start='2', epochs=2), "received start='2', epochs=2; expected numbers"),
        (lambda: KeepRateWarmupHook(start=float('nan'), epochs=2), 'received start=nan, epochs=2; expected numbers'),
        (lambda: KeepRateWarmupHook(start=0, epochs=True), 'epochs=True; expected numbers'),
        (lambda: KeepRateWarmupHook(start=0, epochs=0), 'Leave the hook out'),
        (
            lambda: KeepRateWarmupHook(start=6, epochs=5),
            'leave no step at the configured keep rate in a training of 10 epochs',
        ),
        (lambda: KeepRateWarmupHook(start=5, epochs=5), 'leave no step at the configured keep rate'),
        (lambda: RandomKeepRateHook(keep_rates=()), 'expected lists of at least one value'),
        (lambda: RandomKeepRateHook(keep_rates=0.7), 'received keep_rates=0.7, sizes=None; expected lists'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=()), 'expected lists of at least one value'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=32), 'sizes=32; expected lists'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(0,)), r'received sizes=\(0,\), expected pixels'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(-8,)), 'integers above 0'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(24.0,)), 'integers above 0'),
        (lambda: RandomKeepRateHook(keep_rates=(0.5, 1.5)), r'must lie in \(0, 1\], received 1.5'),
        (
            lambda: RandomKeepRateHook(keep_rates=(0.5,), sizes=(24,)),
            'takes one size only. Set host.dynamic_img_size=True',
        ),
    ],
)
def test_bad_schedules_are_refused(hook, message):
    with pytest.raises(InputError, match=message):
        hook().before_train(a_runner(config('EViT')))


@pytest.mark.parametrize(
    'hooks',
    [(KeepRateWarmupHook(0, 1), RandomKeepRateHook((0.5,))), (RandomKeepRateHook((0.5,)), RandomKeepRateHook((0.7,)))],
)
def test_two_schedules_are_refused(hooks):
    runner = a_runner(config('EViT'))
    runner.hooks = list(hooks)
    with pytest.raises(InputError, match="overwrite each other's keep rates. Leave all but one"):
        hooks[0].before_train(runner)


def test_sizes_are_refused_where_labels_are_maps():
    runner = a_runner(config('EViT'), timm_host(dynamic_img_size=True))
    runner.model['module'].decode_head = nn.Identity()
    RandomKeepRateHook(keep_rates=(0.5,)).before_train(runner)
    with pytest.raises(InputError, match='sizes.*not the maps of labels. Leave sizes out'):
        RandomKeepRateHook(keep_rates=(0.5,), sizes=(24, 32)).before_train(runner)


@pytest.mark.slow
def test_processes_with_seeds_of_their_own_draw_the_same(tmp_path):
    """randomness=dict(diff_rank_seed=True): the images of one step shall not be reduced at two rates."""
    (tmp_path / 'two.py').write_text(TWO)
    two_processes(tmp_path / 'two.py')
    one, two = ((tmp_path / f'rank_{rank}').read_text() for rank in (0, 1))
    assert one == two and len(set(one.split())) > 1


def test_a_size_that_the_patches_do_not_divide_is_refused():
    with pytest.raises(InputError, match='which its patches of 8×8 do not divide'):
        RandomKeepRateHook(keep_rates=(0.5,), sizes=(24, 20)).before_train(
            a_runner(config('EViT'), timm_host(dynamic_img_size=True))
        )


TWO = """
from pathlib import Path

from torch import distributed
from test_sparsity_schedule import RandomKeepRateHook, a_runner, config, rate_at

distributed.init_process_group('gloo')
rank = distributed.get_rank()
runner, hook = a_runner(config('EViT'), seed=3 + rank), RandomKeepRateHook(keep_rates=(0.5, 0.7, 0.9))
hook.before_train(runner)
drawn = ' '.join(str(rate_at(hook, runner, iteration)[0]) for iteration in range(20))
(Path(__file__).parent / f'rank_{rank}').write_text(drawn)
distributed.destroy_process_group()
"""


@METRICS.register_module()
class Falling(BaseMetric):
    """A score that is best at the first validation."""

    def __init__(self):
        super().__init__()
        self.score = 1.0

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        self.score /= 2
        return dict(score=self.score)


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


def train(config_file, name, hook, **entries):
    """Three epochs of two steps; the rates under which each step's forward pass and each validation ran."""
    cfg = Config.fromfile(config_file)
    cfg.merge_from_dict(
        dict(work_dir=str(config_file.parent / name), experiment_name=name, custom_hooks=[hook], **entries)
    )
    runner, witness = SparseRunner.from_cfg(cfg), Witness()
    runner.register_hook(witness, 'VERY_HIGH')
    part = runner.model.backbone.sparsifiers[0]
    ask = part.plan

    def plan(*args):
        part.seen = part.keep_rate
        return ask(*args)

    part.plan = plan
    runner.train()
    witness.best = runner.message_hub.runtime_info.get('best_ckpt')
    return witness


def test_a_run_validates_at_the_rate_that_its_warmup_has_reached(small):
    witness = train(small, 'warmup', dict(type='mmsparse.KeepRateWarmupHook', start=1, epochs=1.5))
    assert witness.train == pytest.approx([1, 1, 1, 0.925, 0.775, 0.7])
    assert witness.val == pytest.approx([1, 0.925, 0.7])


def test_a_run_validates_at_the_configured_rate_after_random_ones(small):
    witness = train(small, 'random', dict(type='mmsparse.RandomKeepRateHook', keep_rates=(0.4, 0.9)))
    assert set(witness.train) == {0.4, 0.9}
    assert witness.val == [0.7] * 3


def test_no_score_is_ranked_while_the_warmup_lasts(small):
    """All patches in the first epoch score best, and the best state would not do so at the rate that it is used at."""
    hooks = [
        dict(type='mmsparse.KeepRateWarmupHook', start=1, epochs=1.5),
        dict(type='mmsparse.RandomKeepRateHook', keep_rates=(0.4, 0.9)),
    ]
    warmup, drawn = (
        train(
            small,
            f'best_{index}',
            hook,
            default_hooks=dict(checkpoint=dict(save_best='score', rule='greater')),
            val_evaluator=dict(type='Falling', _delete_=True),
        ).best
        for index, hook in enumerate(hooks)
    )
    assert warmup.endswith('epoch_3') and drawn.endswith('epoch_1')


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (
            dict(model=dict(backbone=dict(sparsifier=dict(type='mmsparse.ToMe', r=1, _delete_=True)))),
            'the model has ToMe',
        ),
        (
            dict(custom_hooks=[dict(type='mmsparse.RandomKeepRateHook', keep_rates=(0.5,), sizes=(24,))]),
            'takes one size only',
        ),
        (dict(custom_hooks=[dict(type='mmsparse.KeepRateWarmupHook', start=0, epochs=1)] * 2), 'overwrite each other'),
    ],
)
def test_a_schedule_refuses_before_data_is_loaded(small, entries, message):
    cfg = Config.fromfile(small)
    cfg.custom_hooks = [dict(type='mmsparse.KeepRateWarmupHook', start=0, epochs=1)]
    cfg.merge_from_dict(dict(work_dir=str(small.parent / 'early'), experiment_name=f'early {message}', **entries))
    cfg.train_dataloader.dataset.data_root = 'nowhere'
    runner = SparseRunner.from_cfg(cfg)
    with pytest.raises(InputError, match=message):
        runner.train()
