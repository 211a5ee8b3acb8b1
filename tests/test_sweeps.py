"""Sweeps: every point of a grid is trained once, whoever is killed; what is wrong is refused, and results stay."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mmsparse.analysis.sweeps import jobs, locks, worker
from mmsparse.analysis.sweeps.queue import JOURNAL, LIVES, Queue
from mmsparse.analysis.sweeps.recipe_file import Recipe
from mmsparse.analysis.sweeps.recipes import recipes
from mmsparse.analysis.sweeps.scores import scores
from mmsparse.analysis.sweeps.sweep_file import read_sweep
from mmsparse.cli.options import changes
from mmsparse.errors import InputError
from small_run import ROOT, command, refused, write_run

CONFIGS = ['mmsparse::peft/tiny_lora_digits.py', 'mmsparse::peft/tiny_ssf_digits.py']
SCALE = 'model.backbone.adapter.alpha'
SEARCH = dict(
    trials=4,
    sampler=dict(type='RandomSampler', seed=0),
    space={'optim_wrapper.optimizer.lr': dict(type='FloatDistribution', low=1e-4, high=1e-1, log=True)},
)
# Stands for tools/train.py: notes that it was started, and leaves the scores that a run leaves.
TRAINER = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
with (folder.parents[1] / 'started').open('a') as file:
    file.write(str(folder.relative_to(folder.parents[1])) + '\\n')
place = folder / '1' / 'vis_data'
place.mkdir(parents=True, exist_ok=True)
(folder / 'console.log').touch()
(folder / '1' / 'result.csv').touch()
(place / 'scalars.json').write_text(''.join(json.dumps({'step': n, 'accuracy/top1': 50 + n}) + '\\n' for n in (2, 1)))
"""


def write_sweep(folder: Path, name: str = 'own', **entries) -> Path:
    file = folder / f'{name}.yml'
    file.write_text(yaml.safe_dump(dict(dict(configs=CONFIGS, seeds=[0, 1]), **entries)))
    return file


def filled(file: Path, folder: Path, recipe: str = 'a') -> Queue:
    queue = Queue(read_sweep(file), folder)
    queue.fill(dict.fromkeys(queue.sweep.cells(), Recipe(recipe, {'optim_wrapper.dtype': recipe})))
    return queue


@pytest.fixture
def trainer(monkeypatch):
    """Train in a moment."""
    monkeypatch.setattr(worker, 'command', lambda task, seed, folder: [sys.executable, '-c', TRAINER, str(folder)])


def die(task) -> str:
    """What kill -9 leaves of a worker: its trial in the journal, and a lock that nobody holds."""
    os.close(task.lives)
    return task.point.name


def test_every_run_is_trained_once_whoever_is_killed(tmp_path, trainer):
    file, folder = write_sweep(tmp_path), tmp_path / 'runs'
    first, second = filled(file, folder), Queue(read_sweep(file), folder)
    alive, dead = first.take(), second.take()
    assert alive.point.name != dead.point.name
    name = die(dead)
    worker.work(file, folder)  # takes up the dead one's, leaves the live one's alone
    started = (folder / 'started').read_text().split()
    assert sorted([*started, alive.point.name]) == sorted(first.points) and name in started
    assert first.count() == dict(COMPLETE=3, RUNNING=1)
    die(alive)
    filled(file, folder)
    worker.work(file, folder)
    filled(file, folder)
    worker.work(file, folder)
    assert sorted((folder / 'started').read_text().split()) == sorted(first.points)
    assert first.count() == dict(COMPLETE=4)


# A worker whose training lasts until a file `end` is there.
WORKER = """
import sys
from mmsparse.analysis.sweeps import worker
wait = "import os, sys, time; open('begun', 'w')\\nwhile not os.path.exists('end'): time.sleep(0.01)\\nopen('ended', 'w')"
worker.command = lambda *_: [sys.executable, '-c', wait]
worker.work(*sys.argv[1:])
"""


def appears(file: Path) -> bool:
    while not file.exists():
        time.sleep(0.01)
    return True


def test_a_training_that_outlives_its_worker_keeps_its_folder(tmp_path):
    file = write_sweep(tmp_path, seeds=[0], configs=CONFIGS[:1])
    queue = filled(file, tmp_path / 'runs')
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    words = [sys.executable, '-c', WORKER, str(file), str(tmp_path / 'runs')]
    with subprocess.Popen(words, cwd=tmp_path, env=env) as process:
        appears(tmp_path / 'begun')
        process.kill()
    assert queue.take() is None and filled(file, tmp_path / 'runs').count() == dict(RUNNING=1)
    (tmp_path / 'end').touch()
    appears(tmp_path / 'ended')
    with locks.locked(tmp_path / 'runs/tiny_lora_digits/seed_0' / LIVES):  # once the training has ended
        pass
    assert queue.take().point.name == 'tiny_lora_digits/seed_0'


def test_a_longer_file_adds_runs_and_lost_results_are_trained_again(tmp_path, trainer):
    folder = tmp_path / 'runs'
    worker.work(*prepared(write_sweep(tmp_path, configs=CONFIGS[:1]), folder))
    filled(write_sweep(tmp_path), folder)
    file = write_sweep(tmp_path, configs=CONFIGS[:1], seeds=[0, 1, 2])  # the second config leaves again
    for scalars in (folder / 'tiny_lora_digits/seed_1').rglob('scalars.json'):
        scalars.unlink()
    worker.work(*prepared(file, folder))
    assert (folder / 'started').read_text().split() == [f'tiny_lora_digits/seed_{seed}' for seed in (0, 1, 1, 2)]


def prepared(file: Path, folder: Path) -> tuple[Path, Path]:
    filled(file, folder)
    return file, folder


def test_a_run_that_fails_is_told_of_and_tried_again(tmp_path, monkeypatch, capsys):
    file, folder = write_sweep(tmp_path, seeds=[0], configs=CONFIGS[:1]), tmp_path / 'runs'
    script = "print('a long story'); print('train.py: error: no data.'); raise SystemExit(2)"
    monkeypatch.setattr(worker, 'command', lambda *_: [sys.executable, '-c', script])
    for _ in range(2):
        worker.work(*prepared(file, folder))
        assert 'tiny_lora_digits/seed_0: failed. train.py: error: no data.' in capsys.readouterr().err
    assert Queue(read_sweep(file), folder).count() == dict(FAIL=1)


def test_a_run_is_the_command_of_tools_train(tmp_path):
    options = {SCALE: [4, 8], 'task': ['svhn', 'cifar'], 'train_cfg.max_epochs': 3}
    queue = filled(write_sweep(tmp_path, options=options, configs=CONFIGS[:1]), tmp_path / 'runs')
    task = queue.take()
    name = 'tiny_lora_digits/alpha=4,task=svhn/seed_0'
    words = worker.command(task, 0, tmp_path / 'runs' / name)
    assert task.point.name == name and words[1:] == [
        *(str(ROOT / 'tools/train.py'), CONFIGS[0], '--work-dir', str(tmp_path / 'runs' / name), '--seed', '0'),
        *('--cfg-options', f'{SCALE}=4', 'task=svhn', 'train_cfg.max_epochs=3', 'optim_wrapper.dtype=a'),
        'experiment_name=tiny_lora_digits alpha=4',  # of which the task is not a part
    ]
    (tmp_path / 'runs' / name / 'epoch_1').mkdir()
    (tmp_path / 'runs' / name / 'epoch_1' / 'resume.json').touch()
    assert '--resume' in worker.command(task, 0, tmp_path / 'runs' / name)


def test_a_search_draws_every_point_once_and_keeps_the_values_of_one_that_was_killed(tmp_path):
    file = write_sweep(tmp_path, search=SEARCH, configs=CONFIGS[:1])
    queue, other = filled(file, tmp_path / 'runs'), Queue(read_sweep(file), tmp_path / 'runs')
    tasks = [one.take() for one in (queue, other, queue)]
    rates = {task.point.name: task.options['optim_wrapper.optimizer.lr'] for task in tasks}
    assert len(set(rates.values())) == 3
    assert tasks[0].point.folders() == {seed: f'tiny_lora_digits/trial_000/seed_{seed}' for seed in (0, 1)}
    assert tasks[0].label.startswith('tiny_lora_digits lr=')
    queue.finish(tasks[0], 50.0)
    name = die(tasks[1])
    again = {task.point.name: task.options['optim_wrapper.optimizer.lr'] for task in iter(other.take, None)}
    assert again[name] == rates[name] and len(again) == 2 and len(set((rates | again).values())) == 4


@pytest.mark.parametrize(
    ('entries', 'words'),
    [
        (dict(sedes=[0]), ("nothing reads 'sedes'", 'Did you mean seeds?')),
        (dict(configs=['mmsparse::peft/tiny_lroa_digits.py']), ('no such config file', 'tiny_lora_digits.py?')),
        (dict(configs=CONFIGS[0]), ('configs: received', 'expected a list of configs')),
        (dict(configs=CONFIGS[:1] * 2), ('configs: received', 'each once')),
        (dict(seeds=['a']), ("seeds: received ['a']", 'integers')),
        (dict(options={'randomness.seed': [1, 2]}), ('randomness.seed', 'set by the sweep')),
        (dict(options={SCALE: []}), (f'{SCALE}: []', 'a value or some')),
        (dict(search=dict(SEARCH, trials=0)), ('received trials 0', 'such as 20')),
        (dict(search=dict(SEARCH, sapce={})), ("nothing reads 'sapce'", 'Did you mean space?')),
        (dict(search=dict(SEARCH, sampler=dict(type='TPESampelr'))), ("'TPESampelr'", 'Did you mean TPESampler?')),
        (dict(search=dict(SEARCH, sampler=dict(type='GridSampler'))), ('GridSampler', 'under options')),
        (dict(search=dict(SEARCH, space={SCALE: dict(type='FloatDistribution', low=2)})), (SCALE, 'arguments')),
    ],
)
def test_a_wrong_file_is_refused(entries, words, tmp_path):
    with pytest.raises(InputError) as raised:
        Queue(read_sweep(write_sweep(tmp_path, **entries)), tmp_path / 'runs')
    assert all(word in str(raised.value) for word in words), raised.value


def test_a_config_that_no_longer_builds_is_named_before_anything_begins(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options, words in (
        ({'train_cfg.max_epoch': 3}, ("argument 'max_epoch'", "'max_epochs'")),
        ({'model.backbone.adapter.type': ['mmsparse.LoRA', 'mmsparse.LroA']}, ("'mmsparse.LroA'", "'mmsparse.LoRA'")),
        ({'trian_cfg.max_epochs': 3}, ('trian_cfg', 'train_cfg.max_epochs?')),
    ):
        text = refused(capsys, 'sweep.py', write_sweep(tmp_path, configs=CONFIGS[:1], options=options))
        assert all(word in text for word in (*words, 'tiny_lora_digits', 'finished runs stay')), text
    text = refused(capsys, 'sweep.py', tmp_path / 'owm.yml')
    assert 'own.yml?' in text
    monkeypatch.setitem(sys.modules, 'optuna', None)
    assert "pip install 'mmsparse[sweep]'" in refused(capsys, 'sweep.py', write_sweep(tmp_path))


def test_results_of_two_recipes_never_meet(tmp_path, trainer):
    file, folder = write_sweep(tmp_path), tmp_path / 'runs'
    filled(file, folder)
    filled(file, folder, recipe='b')  # nothing was begun
    worker.work(file, folder)
    for changed, recipe, words in (
        (file, 'c', ('tiny_lora_digits was begun with another config', 'another --work-dir')),
        (write_sweep(tmp_path, 'other'), 'b', ('the queue of own, received the sweep other', 'another --work-dir')),
    ):
        with pytest.raises(InputError) as raised:
            filled(changed, folder, recipe)
        assert all(word in str(raised.value) for word in words), raised.value
    searched = tmp_path / 'searched'
    worker.work(*prepared(write_sweep(tmp_path, search=SEARCH), searched))
    longer = write_sweep(tmp_path, search=dict(SEARCH, trials=6))
    filled(longer, searched)
    with pytest.raises(InputError, match='the search was begun with'):
        filled(write_sweep(tmp_path, search=dict(SEARCH, space={SCALE: [1, 2]})), searched)
    (searched / JOURNAL).unlink()
    with pytest.raises(InputError, match='a journal that is gone'):
        filled(longer, searched)


def test_a_damaged_journal_is_named_and_half_a_line_is_dropped(tmp_path, trainer):
    file, folder = write_sweep(tmp_path), tmp_path / 'runs'
    worker.work(*prepared(file, folder))
    journal = folder / JOURNAL
    with journal.open('a') as opened:
        opened.write('{"op_code":4,"worker')  # killed while it was written
    assert filled(file, folder).count() == dict(COMPLETE=4)
    whole = journal.read_text()
    journal.write_text(whole.replace('"op_code":4', '"op_c', 1))
    with pytest.raises(InputError, match=r'journal.log, line 2: damaged .* Move the file away'):
        filled(file, folder)
    journal.write_text(whole + json.dumps(dict(op_code=77)) + '\n')
    with pytest.raises(InputError, match="cannot be read as Optuna's journal"):
        filled(file, folder)
    journal.unlink()
    started = (folder / 'started').read_text()
    assert filled(file, folder).count() == dict(WAITING=4)
    worker.work(file, folder)
    assert filled(file, folder).count() == dict(COMPLETE=4) and (folder / 'started').read_text() == started


def test_folders_whose_locks_say_nothing_are_refused(tmp_path, monkeypatch):
    file, folder = write_sweep(tmp_path), tmp_path / 'runs'
    queue = filled(file, folder)
    task = queue.take()
    monkeypatch.setattr(locks, 'MOUNTS', tmp_path / 'mounts')
    locks.MOUNTS.write_text(f'/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw,local_lock=none 0 0\n')
    monkeypatch.setattr('mmsparse.analysis.sweeps.queue.socket.gethostname', lambda: 'another')
    assert queue.take() is not None
    locks.MOUNTS.write_text(f'/dev/sda / ext4 rw 0 0\nserver:/home {tmp_path} nfs rw,nolock,local_lock=all 0 0\n')
    with pytest.raises(InputError, match='was begun on .*local_lock=all, nolock.*JournalFileOpenLock'):
        queue.take()
    os.close(task.lives)

    def no_locks(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(locks.fcntl, 'flock', no_locks)
    with pytest.raises(InputError, match='locks no files .No locks available.*JournalFileSymlinkLock'):
        queue.take()


SBATCH = '#!/bin/sh\necho "sbatch $@" >> {record}\ncat "$1" > {script}\necho Submitted batch job 42\n'
SRUN = '#!/bin/sh\necho "srun $@" >> {record}\n'


def test_slurm_gets_one_array_of_workers(tmp_path, monkeypatch):
    record, script, bin_ = tmp_path / 'record', tmp_path / 'script', tmp_path / 'bin'
    bin_.mkdir()
    for name, text in (('sbatch', SBATCH), ('srun', SRUN)):
        (bin_ / name).write_text(text.format(record=record, script=script))
        (bin_ / name).chmod(0o755)
    file, folder = write_sweep(tmp_path), tmp_path / 'runs'
    with pytest.raises(InputError, match='srun'):
        jobs.submit('slurm', 2, {}, file, folder)
    monkeypatch.setenv('PATH', f'{bin_}:{os.environ["PATH"]}')
    asked = dict(slurm_partition='gpu', gpus_per_node=1, cpus_per_task=8, timeout_min=600)
    assert [job.job_id for job in jobs.submit('slurm', 2, asked, file, folder)] == ['42_0', '42_1']
    lines = set(script.read_text().splitlines())
    for flag in (
        'partition=gpu',
        'gpus-per-node=1',
        'cpus-per-task=8',
        'time=600',
        'array=0-1%2',
        'job-name=sweep_own',
    ):
        assert f'#SBATCH --{flag}' in lines
    subprocess.run(['bash', script], check=True)
    calls = record.read_text().splitlines()
    assert calls[0].startswith('sbatch ') and calls[0].endswith('.sh')
    assert calls[1].startswith('srun --unbuffered --output ') and f'submitit.core._submit {folder}/jobs' in calls[1]
    with pytest.raises(InputError, match="Unknown argument 'patrition'"):
        jobs.submit('slurm', 2, dict(slurm_patrition='gpu'), file, folder)


def test_shipped_sweeps_are_what_their_heads_say():
    counts = {path.stem: len(list(read_sweep(path).points())) for path in (ROOT / 'configs/sweeps').glob('*.yml')}
    assert counts == dict(tiny_digits=9, tiny_digits_search=12, vtab_table2=1083, vtab_scales=285)
    named = {Path(config).name for config in read_sweep(ROOT / 'configs/sweeps/vtab_table2.yml').configs}
    assert named == {path.name for path in (ROOT / 'configs/vtab').glob('*.py')}


@pytest.mark.parametrize('name', ['tiny_digits', 'tiny_digits_search', 'vtab_scales'])
def test_configs_of_shipped_sweeps_build(name):
    sweep = read_sweep(ROOT / f'configs/sweeps/{name}.yml')
    some = {path: value[-1] if isinstance(value, list) else value for path, value in (sweep.options or {}).items()}
    found = recipes(replace(sweep, options=some), changes)
    assert len(found) == len(sweep.configs)
    assert all(recipe.options['optim_wrapper.dtype'] in ('bfloat16', 'float32') for recipe in found.values())


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """Two runs by tools/train.py, and a sweep file of the same."""
    folder = tmp_path_factory.mktemp('plain')
    config = write_run(folder)
    for seed in (0, 1):
        command('tools/train.py', config, '--work-dir', folder / f'seed_{seed}', '--seed', seed, folder=folder)
    return write_sweep(folder, configs=[str(config)]), {
        seed: scores(folder / f'seed_{seed}', 'accuracy/top1') for seed in (0, 1)
    }


@pytest.mark.slow
@pytest.mark.parametrize('options', [(), ('--cluster', 'local')])
def test_a_sweep_that_was_killed_ends_with_the_figures_of_plain_runs(options, plain, tmp_path):
    file, expected = plain
    folder = tmp_path / 'runs'
    words = ['tools/sweep.py', file, '--workers', '2', '--work-dir', folder, *options]
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    process = subprocess.Popen(
        [sys.executable, ROOT / words[0], *map(str, words[1:])], env=env, start_new_session=True, cwd=tmp_path
    )
    while process.poll() is None and not list(folder.glob('small/seed_*/epoch_*')):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = command(*words, folder=tmp_path)
    assert {seed: scores(folder / f'small/seed_{seed}', 'accuracy/top1') for seed in (0, 1)} == expected
    assert 'small' in done.stdout and 'not finished' not in done.stdout
    starts = len(list(folder.glob('small/seed_*/*/vis_data')))
    command(*words, folder=tmp_path)
    assert len(list(folder.glob('small/seed_*/*/vis_data'))) == starts and (folder / 'small/seed_0' / LIVES).exists()
