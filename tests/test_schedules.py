"""Learning rates follow the run, and the card says which ones a run will reach, whoever wrote the schedule."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmsparse.engine.learning_rates import ahead, rates
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from small_run import ROOT, write_run
from small_state import train

PUBLISHED = {  # config, length, and the schedule as it was written for that length alone
    'configs/_base_/schedules/adamw_100e.py': (
        100,
        dict(type='LinearLR', start_factor=1e-6, end=20, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=20, T_max=80, eta_min=0.0, convert_to_iter_based=True),
    ),
    'configs/_base_/schedules/adamw_short.py': (
        10,
        dict(type='LinearLR', start_factor=1e-6, end=1, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=1, T_max=9, eta_min=0.0, convert_to_iter_based=True),
    ),
    'configs/_base_/schedules/adamw_camvid.py': (
        6,
        dict(type='LinearLR', start_factor=1e-6, end=1, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=1, T_max=5, eta_min=0.0, convert_to_iter_based=True),
    ),
    'configs/pretraining/tiny_cifar10.py': (
        24,
        dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=2, T_max=22, eta_min=1e-6, convert_to_iter_based=True),
    ),
    'projects/proxyclip/configs/_base_/coco_stuff_train.py': (
        40000,
        dict(type='LinearLR', start_factor=1e-6, end=1500, by_epoch=False),
        dict(type='PolyLR', begin=1500, end=40000, eta_min=0.0, power=0.9, by_epoch=False),
    ),
}
OURS = (
    dict(type='mmsparse.WarmupLR', share=0.1, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.1, by_epoch=False),
)
WARMUP = dict(type='LinearLR', start_factor=1e-6, end=1, convert_to_iter_based=True)


class Trainer(SimpleNamespace):
    """What the schedules and the card see of a runner."""

    build = Runner._build_param_scheduler


def a_run(length: int, batches: int, schedules, lr: float = 1e-3, by_epoch: bool = True, **optimizer) -> Trainer:
    """A run of `length` epochs, or iterations in a loop without epochs, with schedules as MMEngine's runner builds
    them.
    """
    loop = EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop
    groups = [dict(params=[torch.zeros(1, requires_grad=True)], lr=lr * factor) for factor in (0.1, 1.0)]
    wrapper = OptimWrapper(torch.optim.AdamW(groups, lr=lr))
    run = Trainer(
        optim_wrapper=wrapper,
        train_dataloader=range(batches),
        max_epochs=length if by_epoch else 1,
        max_iters=length * batches if by_epoch else length,
        train_loop=loop.__new__(loop),
        logger=SimpleNamespace(debug=print),
        iter=0,
    )
    run._train_loop = run.train_loop
    run.param_schedulers = run.build([dict(one) for one in schedules], wrapper)
    return run


def trained(run: Trainer) -> np.ndarray:
    """The rates as MMEngine's loops and ParamSchedulerHook make them."""
    found, group = [], run.optim_wrapper.param_groups[1]
    for iteration in range(1, run.max_iters + 1):
        found.append(group['lr'])
        run.optim_wrapper.optimizer.step()
        last = (
            iteration
            % (run.max_iters if isinstance(run.train_loop, IterBasedTrainLoop) else len(run.train_dataloader))
            == 0
        )
        for schedule in run.param_schedulers:
            if not schedule.by_epoch or last:
                schedule.step()
    return np.array(found)


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_recipe_of_its_own_length_has_the_rates_that_it_was_published_with(name):
    length, *schedules = PUBLISHED[name]
    cfg = Config.fromfile(ROOT / name)
    by_epoch = cfg.train_cfg.get('by_epoch', False)
    assert length == cfg.train_cfg.max_epochs if by_epoch else cfg.train_cfg.max_iters
    for batches in (1, 3, 7, 45) if by_epoch else (1,):
        if batches == 1 and by_epoch and schedules[0]['end'] == 1:
            continue  # this is where the old form stayed at its start
        expected, found = (
            trained(a_run(length, batches, some, by_epoch=by_epoch)) for some in (schedules, cfg.param_scheduler)
        )
        assert (expected == found).all() and expected.max() > 0.9e-3


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('batches', [1, 5])
@pytest.mark.parametrize('length', [1, 2, 3, 10, 37])
def test_rates_follow_a_run_of_any_length(length, batches, by_epoch):
    found = trained(a_run(length, batches, OURS, by_epoch=by_epoch))
    peak = found.argmax()
    assert found.max() == pytest.approx(1e-3, rel=1e-6)
    assert (np.diff(found[: peak + 1]) > 0).all() and (np.diff(found[peak + 1 :]) < 0).all()
    if len(found) >= 10:
        assert found[-1] < 0.05e-3


KINDS = {
    'ours': (OURS, ''),
    'no_schedule': ((), ''),
    'one_cycle': ((dict(type='OneCycleLR', eta_max=1e-2, total_steps=40, by_epoch=False),), ''),
    'steps': ((dict(type='MultiStepLR', milestones=[4, 8], gamma=0.1),), ''),
    'exponential_by_iteration': ((dict(type='ExponentialLR', gamma=0.9, by_epoch=False),), ''),
    'momentum_beside': ((*OURS, dict(type='CosineAnnealingMomentum', eta_min=0.5, by_epoch=True)), ''),
    'longer_run': (
        (WARMUP, dict(type='CosineAnnealingLR', begin=1, T_max=5, convert_to_iter_based=True)),
        'it rises again from iteration 2',
    ),
    'ends_early': ((dict(type='CosineAnnealingLR', T_max=4, end=5),), 'it stays there from iteration 17 of 40 on'),
    'ends_late': (
        (dict(type='CosineAnnealingLR', T_max=20),),
        'the schedule is made for 80 iterations, the run has 40',
    ),
    'warm_up_alone': ((dict(type='LinearLR', start_factor=0.1, end=30),), 'the run ends before the warm-up does'),
    'low': ((dict(type='ConstantLR', factor=1e-3, end=99),), 'the configured 1.00e-03 is never reached'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_the_card_knows_the_rates_before_the_run_and_in_the_middle_of_it(kind):
    schedules, odd = KINDS[kind]
    card, foreseen = rates(a_run(10, 4, schedules)), ahead(a_run(10, 4, schedules))
    run = a_run(10, 4, schedules)
    found = trained(run)
    assert (foreseen == found).all() and f'highest {found.max():.2e}, last {found[-1]:.2e}' in card
    assert odd in card if odd else 'BUT' not in card, card
    half = a_run(10, 4, schedules)
    half.max_iters = 20
    trained(half)
    half.iter, half.max_iters = 20, 40
    assert (ahead(half) == found[20:]).all()


def test_the_card_tells_of_a_warm_up_that_never_ends():
    """MMEngine's LinearLR of one iteration never leaves its start: 20.8 % instead of 100 % on 48 photographs."""
    card = rates(a_run(10, 1, (WARMUP, dict(type='CosineAnnealingLR', begin=1, T_max=9, convert_to_iter_based=True))))
    assert 'highest 1.00e-09' in card and 'the configured 1.00e-03 is never reached' in card


def test_a_validated_schedule_says_so():
    assert 'lower where validation says so' in rates(a_run(3, 4, (dict(type='ReduceOnPlateauLR', monitor='loss'),)))


def test_foreseeing_a_run_changes_nothing():
    run = a_run(10, 4, OURS)
    before = (
        [schedule.state_dict() for schedule in run.param_schedulers],
        [group['lr'] for group in run.optim_wrapper.param_groups],
    )
    before = repr(before)
    rates(run)
    assert (
        repr(
            (
                [schedule.state_dict() for schedule in run.param_schedulers],
                [group['lr'] for group in run.optim_wrapper.param_groups],
            )
        )
        == before
    )


@pytest.mark.parametrize(
    'wrong', [dict(share=1.0), dict(share=-0.1), dict(share='20%'), dict(share=0.1, by_epoch=True)]
)
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match='WarmupLR: received'):
        a_run(3, 4, [dict(dict(type='mmsparse.WarmupLR', by_epoch=False), **wrong)])


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('schedules'))


def test_a_schedule_without_room_in_the_run_is_named(config):
    with pytest.raises(
        InputError,
        match=r'param_scheduler: end should be larger than begin.*in a run of 1 epochs, 4 iterations.*WarmupLR',
    ):
        train(config, 'no_room', **{'train_cfg.max_epochs': 1})


def test_auto_scale_lr_counts_accumulated_batches(config):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        dict(
            work_dir=str(config.parent / 'scaled'),
            experiment_name='scaled',
            auto_scale_lr=dict(enable=True, base_batch_size=64),
        )
    )
    cfg.optim_wrapper.accumulative_counts = 4
    runner = SparseRunner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    assert runner.optim_wrapper.get_lr()['lr'] == [pytest.approx(1e-2 * 8 * 4 / 64)]
