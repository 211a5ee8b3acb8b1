"""A run that is stopped at any step goes on bit by bit as the one that nobody disturbed: workers, iterations, accumulation,
everything random on.
"""

import multiprocessing
import os
import signal
import time

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop

from mmsparse.cli.launch import goes_on
from mmsparse.engine.loops import EpochLoop, go_on
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError, Interrupted
from mmsparse.state.files import read_resume, read_state
from mmsparse.state.folder import CARD, INTERRUPTED, RESUME, alone_in
from mmsparse.state.pack import pack
from small_run import ROOT, TORCHRUN, command, write_run


@HOOKS.register_module()
class LeaveAfter(Hook):
    """Saves nothing and goes, as a process that is killed."""

    def __init__(self, iteration: int):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, **kwargs):
        if runner.iter + 1 == self.iteration:
            raise KeyboardInterrupt


@HOOKS.register_module()
class Ask(Hook):
    """Sends this process a signal in an iteration, or in the validation of an epoch, behind so many batches of it."""

    def __init__(self, number: int, iteration: int | None, epoch: int = 1, validated: int = 0):
        self.number, self.iteration, self.epoch, self.validated = number, iteration, epoch, validated

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if self.iteration is None and runner.epoch == self.epoch:
            if self.validated == 0:
                os.kill(os.getpid(), self.number)
            self.validated -= 1


def wait(begun) -> None:
    begun.set()
    time.sleep(600)


@HOOKS.register_module()
class EndAFork(Hook):
    """Ends a process that training has forked, as a pool of processes does, then training itself by an error."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        context = multiprocessing.get_context('fork')
        fork = context.Process(target=wait, args=(begun := context.Event(),), daemon=True)
        fork.start()
        begun.wait(60)  # Python forgets a signal that comes while it forks
        fork.terminate()
        fork.join(60)
        raise RuntimeError(f'ended by {fork.exitcode}')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('exact'), train=40, test=4)  # five batches an epoch


RANDOM = dict(
    model=dict(
        train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8)]),
        head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
    ),
    custom_hooks=[
        dict(type='EMAHook', momentum=0.1),
        dict(type='mmsparse.KeepRateWarmupHook', start=0, epochs=2),
    ],
)
KINDS = {
    'epochs': {},
    'workers': {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True},
    'iterations': dict(train_cfg=dict(by_epoch=False, max_iters=13, val_interval=50)),
    'endless': {
        'train_cfg': dict(by_epoch=False, max_iters=13, val_interval=50),
        'train_dataloader.sampler.type': 'InfiniteSampler',
    },
    'accumulation': {'optim_wrapper.accumulative_counts': 3},
    'random': RANDOM,
}


def run(config, name: str, kind: str, *, leave: int | None = None, ask: dict | None = None) -> SparseRunner:
    cfg = Config.fromfile(config)
    entries = dict(KINDS[kind])
    if 'train_cfg' in entries:
        cfg.train_cfg = entries.pop('train_cfg')
    cfg.param_scheduler = [dict(type='mmsparse.CosineLR', by_epoch=False)]
    cfg.default_hooks.checkpoint = dict(type='mmsparse.CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1)
    cfg.default_hooks.card = cfg.default_hooks.progress = None
    cfg.default_hooks.pop('card'), cfg.default_hooks.pop('progress')
    cfg.merge_from_dict(entries)
    cfg.merge_from_dict(dict(work_dir=str(config.parent / name), experiment_name=f'{name}_{leave}', resume=True))
    if leave:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='LeaveAfter', iteration=leave, priority='LOWEST')]
    if ask:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='Ask', **ask)]
        if 'epoch' not in ask:  # no other states
            cfg.default_hooks.checkpoint.interval = 100
    runner = SparseRunner.from_cfg(cfg)
    if leave or ask:
        with pytest.raises(Interrupted if ask else KeyboardInterrupt):
            runner.train()
    else:
        runner.train()
    return runner


def outcome(runner) -> dict[str, torch.Tensor]:
    averages = getattr(next((hook for hook in runner.hooks if hasattr(hook, 'ema_model')), None), 'ema_model', None)
    moments = runner.optim_wrapper.optimizer.state_dict()['state']
    return {
        **dict(runner.model.named_parameters()),
        **({f'ema {name}': value for name, value in averages.state_dict().items()} if averages else {}),
        **{f'{at} {name}': value for at, entry in moments.items() for name, value in entry.items()},
    }


@pytest.mark.parametrize('kind', KINDS)
def test_a_run_that_is_stopped_at_two_steps_ends_bit_by_bit_as_the_whole(config, kind):
    expected = outcome(run(config, f'{kind}_whole', kind))
    for leave in (4, 10):
        run(config, f'{kind}_parts', kind, leave=leave)
    resumed = run(config, f'{kind}_parts', kind)
    found = outcome(resumed)
    assert found.keys() == expected.keys()
    differing = [name for name, value in expected.items() if not torch.equal(found[name], value)]
    assert not differing


@pytest.mark.parametrize(
    ('number', 'iteration'), [(signal.SIGTERM, 6), (signal.SIGINT, 0), (signal.SIGUSR1, 9), (signal.SIGTERM, None)]
)
def test_a_run_that_is_asked_to_stop_saves_its_step_and_goes_on_there(config, number, iteration):
    """In the middle of an epoch, in the first step, at the end of an epoch, and in a validation."""
    expected, before = outcome(run(config, 'asked_whole', 'accumulation')), signal.getsignal(number)
    name = f'asked_{number}_{iteration}'
    stopped = run(config, name, 'accumulation', ask=dict(number=number, iteration=iteration))
    assert signal.getsignal(number) == before
    done = 5 if iteration is None else iteration + 1
    assert (config.parent / name / INTERRUPTED).is_dir()
    assert stopped.iter == done - (iteration is not None)
    found = outcome(run(config, name, 'accumulation'))
    assert not [key for key, value in expected.items() if not torch.equal(found[key], value)]
    assert not (config.parent / name / INTERRUPTED).exists()  # a later state stands for it


@pytest.mark.parametrize('both', [False, True], ids=['averages', 'weights too'])
def test_a_state_that_is_saved_in_a_validation_has_the_weights_and_not_their_averages(config, monkeypatch, both):
    """mmpretrain's EMAHook validates the weights behind their averages if it is told to, and they are back then."""
    averages = dict(type='EMAHook', momentum=0.1, evaluate_on_origin=both)
    monkeypatch.setitem(KINDS, 'averages', dict(custom_hooks=[averages]))
    expected, name = outcome(run(config, f'averages_{both}', 'averages')), f'averages_{both}_parts'
    run(config, name, 'averages', ask=dict(number=signal.SIGTERM, iteration=None, validated=both))
    found = outcome(run(config, name, 'averages'))
    assert not [key for key, value in expected.items() if not torch.equal(found[key], value)]


BY_EPOCH = {'default_hooks.checkpoint': dict(by_epoch=True, interval=1, max_keep_ckpts=1)}


def test_the_last_state_stands_for_one_that_was_saved_in_the_last_validation(config, monkeypatch):
    monkeypatch.setitem(KINDS, 'by epoch', BY_EPOCH)
    run(config, 'last', 'by epoch', ask=dict(number=signal.SIGTERM, iteration=None, epoch=3))
    assert {'epoch_3', INTERRUPTED} <= {path.name for path in (config.parent / 'last').iterdir()}
    run(config, 'last', 'by epoch')
    assert (config.parent / 'last/epoch_3').is_dir() and not (config.parent / 'last' / INTERRUPTED).exists()


def test_a_state_that_a_run_has_gone_on_from_stays_until_there_is_another(config, monkeypatch):
    """Between epoch_1, which stood for an older one of its name, and epoch_2."""
    monkeypatch.setitem(KINDS, 'by epoch', BY_EPOCH)
    run(config, 'stays', 'by epoch', ask=dict(number=signal.SIGTERM, iteration=6, epoch=1))
    run(config, 'stays', 'by epoch', leave=9)
    assert (config.parent / 'stays' / INTERRUPTED).is_dir()
    assert run(config, 'stays', 'by epoch', leave=9).iter == 8


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_makes_up_for_no_validation(config, monkeypatch):
    """These are not the weights of the epoch before, and might become the best ones."""
    monkeypatch.setitem(KINDS, 'best', {'default_hooks.checkpoint.save_best': 'accuracy/top1'})
    run(config, 'middle', 'best', leave=7)
    best = [path.name for path in (config.parent / 'middle').glob('best_*')]
    resumed = run(config, 'middle', 'best', leave=8)
    assert resumed.message_hub.get_info('last_validated_iter') == 5
    assert [path.name for path in (config.parent / 'middle').glob('best_*')] == best


def test_signals_are_given_back_after_an_error_and_end_what_training_has_forked(config, monkeypatch):
    monkeypatch.setitem(KINDS, 'fork', dict(custom_hooks=[dict(type='EndAFork')]))
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    with pytest.raises(RuntimeError, match=f'ended by -{signal.SIGTERM}'):
        run(config, 'forked', 'fork')
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before


def test_a_second_run_in_a_work_folder_is_refused_while_the_first_lives(config):
    with (
        alone_in(str(config.parent / 'shared')),
        pytest.raises(InputError, match=rf'a run \(process {os.getpid()} on'),
    ):
        run(config, 'shared', 'epochs')
    run(config, 'shared', 'epochs')


@pytest.mark.parametrize('loop', [EpochLoop, EpochBasedTrainLoop])
def test_the_middle_of_an_epoch_needs_the_same_batches_and_a_loop_that_begins_there(loop):
    loop = object.__new__(loop)
    loop.dataloader = range(5 if type(loop) is EpochBasedTrainLoop else 10)
    with pytest.raises(InputError, match='^iter_7: saved behind batch 2 of 5 of an epoch, received a Epoch'):
        go_on(loop, dict(epoch=1, iter=7, batch=2, batches=5), 'iter_7')


ASK = """
import os, signal
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class AskOne(Hook):
    '''Asks the second process alone.'''
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.rank == 1 and runner.iter == 6:
            os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
def test_two_processes_stop_together_inside_an_accumulation_and_go_on_there(tmp_path):
    write_run(tmp_path, train=80)  # five batches an epoch and process, dropout, crops and flips
    (tmp_path / 'ask.py').write_text(ASK)
    two = tmp_path / 'two.py'
    two.write_text(
        "_base_ = ['small.py']\noptim_wrapper = dict(accumulative_counts=3)\ntrain_dataloader = dict(num_workers=1)\n"
        "param_scheduler = [dict(type='mmsparse.CosineLR', by_epoch=False)]\n"
    )
    asking = tmp_path / 'asking.py'
    asking.write_text(
        "_base_ = ['two.py']\ncustom_imports = dict(imports=['ask'])\ncustom_hooks = [dict(type='AskOne')]\n"
    )
    options = ('--no-validate', '--work-dir')
    command('tools/dist_train.sh', two, 2, *options, 'whole', folder=tmp_path)
    stopped = command('tools/dist_train.sh', asking, 2, *options, 'parts', folder=tmp_path, status=1)
    assert 'stopped by' in stopped.stderr and 'after epoch 1, iteration 7' in stopped.stderr
    command('tools/dist_train.sh', two, 2, *options, 'parts', '--resume', folder=tmp_path)
    ours, expected = (read_state(tmp_path / name / 'epoch_3') for name in ('parts', 'whole'))
    assert ours.card.sha256 == expected.card.sha256
    (plain, tensors), (right, moments) = (pack(read_resume(state)['optimizer']) for state in (ours, expected))
    assert plain == right and all(torch.equal(tensors[name], value) for name, value in moments.items())


DIE = """
import os, signal, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

if (os.environ['RANK'], os.environ['TORCHELASTIC_RESTART_COUNT']) == ('1', '1'):
    time.sleep(3)  # the first process must not meet what the second has left in torchrun's store

@HOOKS.register_module()
class DieOnce(Hook):
    '''Kills the second process of the first start.'''
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.rank == 1 and runner.iter == 8 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_torchrun_starts_a_job_again_that_has_lost_a_process_and_it_goes_on(tmp_path):
    config = write_run(tmp_path, train=80)
    (tmp_path / 'die.py').write_text(DIE)
    dying = tmp_path / 'dying.py'
    dying.write_text(
        "_base_ = ['small.py']\ncustom_imports = dict(imports=['die'])\ncustom_hooks = [dict(type='DieOnce')]\n"
    )
    command('tools/dist_train.sh', config, 2, '--no-validate', '--work-dir', 'whole', folder=tmp_path)
    options = ('--max-restarts', 1, '--standalone', '--nproc-per-node', 2, ROOT / 'tools/train.py', dying)
    more = ('--launcher', 'pytorch', '--no-validate', '--work-dir', 'again')
    done = command(TORCHRUN, *options, *more, folder=tmp_path)
    assert 'failed (exitcode: -9) local_rank: 1' in done.stderr
    logs = [path.read_text() for path in (tmp_path / 'again').glob('*/*.log')]
    assert sum('resumed epoch: 1, iter: 5' in log for log in logs) == 1
    ours, expected = (read_state(tmp_path / name / 'epoch_3').card for name in ('again', 'whole'))
    assert ours.sha256 == expected.sha256


def test_a_job_that_torchrun_starts_again_goes_on_from_none_but_its_own_states(tmp_path, monkeypatch):
    def save(name):
        (tmp_path / name).mkdir()
        for file in (CARD, RESUME):
            (tmp_path / name / file).touch()

    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '1')
    save('older')
    time.sleep(0.01)
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '0')
    assert not goes_on(str(tmp_path), False)
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    assert not goes_on(str(tmp_path), False) and goes_on(str(tmp_path), True)
    time.sleep(0.01)
    save('own')
    assert goes_on(str(tmp_path), False)
