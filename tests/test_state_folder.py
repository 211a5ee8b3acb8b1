"""A state survives: whatever is written comes back exactly, and no kill at any instant loses what was complete."""

import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmsparse.engine.hooks.checkpoint_hook import CheckpointHook
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from mmsparse.state import folder
from mmsparse.state.files import newest, read_resume, read_state
from mmsparse.state.pack import pack, unpack
from small_run import write_run
from small_state import copy_of, train

NESTED = {
    'plain': [None, True, 1, -0.0, 0.1, 1e-300, 'text', [], {}],
    'tuple': ((), (1, (2.5, None)), [(1,)]),
    'keys': {1: 'int', '1': 'str', (2, 'a'): 'tuple', None: 'none', 1.5: 'float'},
    '$kind': {'$tuple': [1]},
    'infinite': [float('inf'), -float('inf')],
}
TENSORS = {
    1: torch.tensor(3),
    '1': torch.tensor([1.0, float('nan')]),
    'half': torch.randn(3, 4, dtype=torch.bfloat16).t(),
    'empty': torch.zeros(0, 2),
    'flags': torch.tensor([True, False]),
    'array': np.arange(6, dtype=np.uint32).reshape(2, 3)[:, ::2],
    'point': np.array(2.5),
}


def test_nested_values_come_back_exactly_through_json():
    packed, tensors = pack(NESTED)
    back = unpack(json.loads(json.dumps(packed, allow_nan=False)), tensors)
    assert repr(back) == repr(NESTED) and not tensors  # repr tells tuples from lists, 1 from True and 0.0 from -0.0
    assert unpack(*pack(float('nan'))) != unpack(*pack(float('nan')))


def test_tensors_and_arrays_come_back_with_type_shape_and_bits():
    packed, tensors = pack(TENSORS)
    back = unpack(json.loads(json.dumps(packed)), tensors)
    assert list(back) == list(TENSORS)
    for key, value in TENSORS.items():
        assert type(back[key]) is type(value) and back[key].dtype == value.dtype and back[key].shape == value.shape
        assert np.array_equal(np.asarray(back[key].tolist()), np.asarray(value.tolist()), equal_nan=True)


@pytest.mark.parametrize('value', [{'a': [lambda: 0]}, {1, 2}, b'bytes', {'a': SimpleNamespace()}])
def test_what_cannot_be_written_is_refused_with_its_place(value):
    with pytest.raises(
        TypeError, match='a.0: received a function|value: received a (set|bytes)|a: received a SimpleNamespace'
    ):
        pack(value)


@pytest.mark.parametrize(
    'packed',
    [{'$pickle': 'x'}, {'$tensor': 'nowhere'}, {'$tuple': [1], 'more': 2}, {'$dict': [[[1], 2]]}, {'$float': 'x'}],
)
def test_what_was_not_packed_is_refused(packed):
    with pytest.raises((ValueError, KeyError, TypeError)):
        unpack(packed, {})


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config and a runner after two epochs."""
    config = write_run(tmp_path_factory.mktemp('state_folder'))
    return SimpleNamespace(config=config, runner=train(config, 'trained', **{'train_cfg.max_epochs': 2}))


class Killed(BaseException):
    """Not an Exception: nothing may catch it, as nothing can catch signal 9."""


@pytest.fixture
def kill_at(monkeypatch):
    """Give a function that arms a kill at the n-th change of the file system; writes and removals stop half-way
    then.
    """
    clock = SimpleNamespace(left=-1)

    def strike() -> bool:
        clock.left -= 1
        return clock.left == -1

    def breaking(owner, name, half):
        original = getattr(owner, name)

        def operation(first, *args, **kwargs):
            if strike():
                half(first, *args)
                raise Killed
            return original(first, *args, **kwargs)

        monkeypatch.setattr(owner, name, operation)

    write_bytes, rmtree = Path.write_bytes, shutil.rmtree
    breaking(Path, 'write_bytes', lambda path, data: write_bytes(path, data[: len(data) // 2]))
    breaking(Path, 'write_text', lambda path, text: write_bytes(path, text[: len(text) // 2].encode()))
    for name in ('rename', 'replace', 'mkdir'):
        breaking(Path, name, lambda path, *args: None)
    breaking(shutil, 'rmtree', lambda path, *args: [file.unlink() for file in sorted(Path(path).glob('*'))[:1]])
    yield lambda number: setattr(clock, 'left', number)
    shutil.rmtree = rmtree


SCORES = {1: 50.0, 2: 40.0, 3: 60.0}


def simulate(runner, work_dir: Path, done: list) -> CheckpointHook:
    """Let the hook save and score three epochs of a runner that does not train meanwhile; `done` notes each complete
    save.
    """
    runner._work_dir = str(work_dir)
    runner.message_hub._runtime_info.clear()
    runner.message_hub._resumed_keys.clear()
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='accuracy/top1')
    loop = runner._train_loop
    loop._iter = 0
    hook.before_train(runner)
    for epoch, score in SCORES.items():
        loop._epoch, loop._iter = epoch - 1, 4 * epoch
        hook.after_train_epoch(runner)
        done.append(epoch)
        loop._epoch = epoch
        hook.after_val_epoch(runner, {'accuracy/top1': score})
    return hook


def test_no_kill_at_any_change_of_the_file_system_loses_a_complete_state(trained, kill_at, tmp_path):
    for number in range(1000):
        work_dir, done = tmp_path / str(number), []
        work_dir.mkdir()
        kill_at(number)
        try:
            simulate(trained.runner, work_dir, done)
        except Killed:
            pass
        else:
            break
        finally:
            kill_at(-1)
        pointer = work_dir / 'last_checkpoint'
        assert not pointer.exists() or pointer.read_text() in {str(work_dir / f'epoch_{epoch}') for epoch in SCORES}, (
            number
        )
        folder.tidy(work_dir)
        found = newest(work_dir, warn=pytest.fail)
        assert (read_state(found).card.epoch if found else 0) >= (done[-1] if done else 0), number
        assert not list(work_dir.glob('.*.*ing')) and not list(work_dir.glob('.*.re*ed'))
        if found:
            best = read_resume(read_state(found))['message_hub']['runtime_info'].get('best_ckpt')
            assert best is None or read_state(best).verify() is None, number
    assert 40 < number < 1000
    assert sorted(path.name for path in work_dir.iterdir()) == [
        'best_accuracy_top1_epoch_3',
        'epoch_3',
        'last_checkpoint',
    ]
    assert (work_dir / 'last_checkpoint').read_text() == str(work_dir / 'epoch_3')
    best = read_state(work_dir / 'best_accuracy_top1_epoch_3')
    assert best.card.score == {'accuracy/top1': 60.0} and not (best.path.parent / 'resume.json').exists()


def test_only_states_are_removed_whatever_a_state_names(trained, tmp_path):
    run, foreign = tmp_path / 'run', tmp_path / 'foreign'
    for place in (foreign, run / 'mine', tmp_path / 'outside'):
        place.mkdir(parents=True)
    for place in (foreign, run / 'mine'):
        (place / 'thesis.txt').write_text('mine')
    (tmp_path / 'outside/adapter.json').write_text('{}')
    hook = simulate(trained.runner, run, [])
    hub = trained.runner.message_hub
    hub.update_info('superseded', ['../outside', str(foreign), 'mine', '', '.', 'epoch_3', 7])
    hub.update_info('keep_ckpt_ids', ['/../../foreign', 3])
    hub.update_info('best_ckpt', str(foreign / 'thesis.txt'))
    hub.update_info('last_validated_iter', trained.runner.iter)
    again = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='accuracy/top1')
    again.before_train(trained.runner)
    again.after_val_epoch(trained.runner, {'accuracy/top1': 99.0})
    assert all((place / 'thesis.txt').exists() for place in (foreign, run / 'mine'))
    assert (
        (tmp_path / 'outside/adapter.json').exists()
        and (run / 'epoch_3').exists()
        and hook.last_ckpt == again.last_ckpt
    )


def test_a_run_killed_before_its_validation_makes_up_for_it(trained, tmp_path):
    """The best score must not depend on where the run was killed."""
    config = trained.config
    whole = train(config, 'whole')
    parts = config.parent / 'parts'
    copy_of(config.parent / 'whole/epoch_3', parts / 'epoch_3')
    resume = json.loads((parts / 'epoch_3/resume.json').read_text())
    known = resume['state']['message_hub']
    for key in ('best_score', 'best_ckpt', 'last_validated_iter'):
        known['runtime_info'].pop(key, None)
        known['resumed_keys'].pop(key, None)
    (parts / 'epoch_3/resume.json').write_text(json.dumps(resume))
    again = train(config, 'parts', resume=True)
    expected = whole.message_hub.get_scalar('val/accuracy/top1').current()
    assert (
        again.message_hub.get_info('best_score')
        == again.message_hub.get_scalar('val/accuracy/top1').current()
        == expected
    )
    assert read_state(parts / 'best_accuracy_top1_epoch_3').card.score == {'accuracy/top1': expected}
    assert read_resume(read_state(parts / 'epoch_3'))['message_hub']['runtime_info']['best_score'] == expected
    settled = train(config, 'parts', resume=True, experiment_name='settled')
    assert 'val/accuracy/top1' not in settled.message_hub.log_scalars


def test_options_that_make_no_sense_for_folders_are_refused(trained):
    with pytest.raises(InputError, match='published_keys'):
        CheckpointHook(published_keys=['state_dict'])
    with pytest.raises(InputError, match='a plain name'):
        CheckpointHook(filename_tmpl='a/epoch_{}')
    with pytest.raises(InputError, match='local folders only'):
        trained.runner.save_checkpoint('s3://bucket', 'epoch_1')


def test_mmengines_own_hook_works_with_the_runner(trained):
    """Configs of others name it; a state's folder then carries its suffix."""
    hook = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1, save_best='auto')
    runner = train(trained.config, 'own_hook', **{'default_hooks.checkpoint': hook, 'train_cfg.max_epochs': 2})
    work_dir = Path(runner.work_dir)
    assert sorted(path.name for path in work_dir.glob('epoch_*')) == ['epoch_2.pth']
    assert newest(work_dir) == work_dir / 'epoch_2.pth' and len(list(work_dir.glob('best_*'))) == 1


def test_generators_go_on_where_they_were(trained):
    state = read_state(trained.config.parent / 'trained/epoch_1')
    random_state = read_resume(state)['random']
    cfg = Config.fromfile(trained.config)
    cfg.merge_from_dict(dict(work_dir=str(trained.config.parent / 'generators'), experiment_name='generators'))
    runner = SparseRunner.from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.resume(str(state.path.parent))
    assert random.getstate() == random_state['python']
    assert torch.equal(torch.get_rng_state(), random_state['torch'])
    assert np.array_equal(np.random.get_state()[1], random_state['numpy'][1])
