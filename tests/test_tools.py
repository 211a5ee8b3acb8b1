"""The commands: what they refuse and how, and what their options mean."""

import json
import os
import pickle
import runpy
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from small_run import ROOT, refused, tool, write_images, write_run


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A config with its data, and the checkpoint that tools/train.py made of them."""
    folder = tmp_path_factory.mktemp('small')
    config = write_run(folder)
    tool('train.py', config, '--work-dir', folder / 'trained')
    return SimpleNamespace(folder=folder, config=config, checkpoint=folder / 'trained/epoch_3')


def config_of(name, *args):
    """The config that a tool would run."""
    before = sys.argv
    sys.argv = [f'tools/{name}', *map(str, args)]
    try:
        module = runpy.run_path(str(ROOT / 'tools' / name))
        return module['build_config'](module['parse_args']())
    finally:
        sys.argv = before


def test_a_missing_config_is_answered_with_its_neighbour(small, capsys):
    assert f'Did you mean {small.config}?' in refused(capsys, 'train.py', small.folder / 'smal.py')


@pytest.mark.parametrize(
    'line, words',
    [('model = dict(', 'SyntaxError'), ('\nlr = base * 2', 'line 3: this config cannot be used. NameError')],
)
def test_a_config_that_does_not_parse_is_named(small, capsys, line, words):
    broken = small.folder / 'broken.py'
    broken.write_text("_base_ = ['small.py']\n" + line)
    text = refused(capsys, 'train.py', broken)
    assert 'broken.py' in text and words in text


@pytest.mark.parametrize('name, options', [('test.py', []), ('train.py', ['--resume'])])
def test_a_missing_or_cut_checkpoint_is_named(small, capsys, name, options):
    cut = small.folder / 'cut'
    shutil.copytree(small.checkpoint, cut, dirs_exist_ok=True)
    (cut / 'adapter.safetensors').write_bytes((small.checkpoint / 'adapter.safetensors').read_bytes()[:-100])
    assert f'{cut}/adapter.safetensors: the file cannot be read, it is damaged or cut short' in refused(
        capsys, name, small.config, *options, cut
    )
    text = refused(capsys, name, small.config, *options, small.checkpoint.with_name('epoch_9'))
    assert 'no such checkpoint' in text and str(small.checkpoint) in text


@pytest.mark.parametrize(
    'launcher, words', [('pytorch', 'RANK, WORLD_SIZE'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')]
)
def test_a_launcher_that_did_not_launch_is_refused(small, capsys, monkeypatch, launcher, words):
    for name in [name for name in os.environ if name.startswith(('RANK', 'WORLD', 'MASTER', 'SLURM', 'OMPI'))]:
        monkeypatch.delenv(name)
    assert words in refused(capsys, 'train.py', small.config, '--launcher', launcher)


def test_bad_options_are_refused(small, capsys):
    assert '.pkl or .pickle' in refused(capsys, 'test.py', small.config, small.checkpoint, '--out', 'a.json')
    assert 'base_batch_size' in refused(capsys, 'train.py', small.config, '--auto-scale-lr')
    assert tool('test.py', small.config, small.checkpoint, '--out-item', 'pred') == 2
    assert tool('train.py', small.config, '--cfg-options', 'randomness.seed') == 2
    assert 'KEY=VALUE' in capsys.readouterr().err


def test_a_misspelt_type_stops_before_training(small, capsys):
    text = refused(capsys, 'train.py', small.config, '--cfg-options', 'model.backbone.sparsifier.type=mmsparse.Evit')
    assert 'mmsparse.Evit' in text and 'mmsparse.EViT' in text


@pytest.mark.parametrize('where', ['train', 'val'])
def test_a_class_count_that_differs_from_the_data_stops_before_training(small, capsys, where):
    write_images(small.folder / 'four', 4, classes=4)
    work_dir = small.folder / f'classes_{where}'
    options = ('--work-dir', work_dir, '--cfg-options', f'{where}_dataloader.dataset.data_root={small.folder}/four')
    text = refused(capsys, 'train.py', small.config, *options)
    assert 'num_classes is 3' in text and '4 classes: class_0, class_1' in text and not list(work_dir.glob('epoch_*'))


@pytest.mark.parametrize('workers', [0, 1])
def test_of_two_broken_images_the_second_stops_a_test_and_is_named(small, capsys, workers):
    write_images(small.folder / 'torn', 8)
    for torn in (small.folder / 'torn/class_1/001.png', small.folder / 'torn/class_1/004.png'):
        torn.write_bytes(torn.read_bytes()[:1000])
    pipeline = "[dict(type='mmsparse.LoadImage'), dict(type='PackInputs')]"
    config = small.folder / f'torn_{workers}.py'
    loader = f"dict(num_workers={workers}, dataset=dict(data_root='{small.folder}/torn', pipeline={pipeline}))"
    config.write_text(f"_base_ = ['small.py']\ntest_dataloader = {loader}\n")
    assert str(torn) in refused(
        capsys, 'test.py', config, small.checkpoint, '--work-dir', small.folder / f'torn_{workers}'
    )


def test_an_unexpected_error_keeps_its_traceback(small, monkeypatch):
    def fault(runner):
        raise RuntimeError('a fault of ours')

    monkeypatch.setattr('mmsparse.engine.runner.SparseRunner.train', fault)
    with pytest.raises(RuntimeError, match='a fault of ours'):
        tool('train.py', small.config, '--work-dir', small.folder / 'bug')


def test_train_options_mean_what_mmpretrain_says(small):
    cfg = config_of('train.py', small.config)
    assert cfg.work_dir == './work_dirs/small' and not cfg.resume and not cfg.train_dataloader.persistent_workers
    options = (
        '--work-dir',
        'w',
        '--amp',
        '--no-validate',
        '--auto-scale-lr',
        '--seed',
        7,
        '--deterministic',
        '--resume',
        small.checkpoint,
    )
    entries = (
        '--cfg-options',
        'auto_scale_lr.base_batch_size=256',
        'train_dataloader.num_workers=2',
        'optim_wrapper.type=AmpOptimWrapper',
    )
    cfg = config_of('train.py', small.config, *options, *entries)
    assert cfg.optim_wrapper.type == 'mmsparse.AutocastOptimWrapper' and cfg.auto_scale_lr.enable
    assert (cfg.work_dir, cfg.resume, cfg.load_from) == ('w', True, str(small.checkpoint))
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert dict(cfg.randomness) == dict(seed=7, deterministic=True)
    assert cfg.train_dataloader.persistent_workers and cfg.train_dataloader.collate_fn.type == 'default_collate'
    assert not config_of(
        'train.py', small.config, '--no-persistent-workers', *entries
    ).train_dataloader.persistent_workers


def test_a_config_drops_a_hook_by_its_name(small):
    # A name of its own: two runs of one process and second share MMEngine's logger otherwise, and its file.
    options = ('--cfg-options', 'default_hooks.progress=None', 'experiment_name=dropped')
    assert tool('test.py', small.config, small.checkpoint, '--work-dir', small.folder / 'dropped', *options) == 0
    text = next((small.folder / 'dropped').rglob('*.log')).read_text()
    assert 'ClassCountHook' in text and 'ProgressHook  ' not in text


def test_test_writes_predictions_metrics_and_drawings(small):
    work_dir, out, metrics, drawn = (
        small.folder / name for name in ('tested', 'predictions.pkl', 'metrics.json', 'drawn')
    )
    common = (small.config, small.checkpoint, '--work-dir', work_dir, '--cfg-options', 'test_dataloader.batch_size=20')
    assert tool('test.py', *common, '--out', out, '--show-dir', drawn, '--interval', 5) == 0
    assert tool('test.py', *common, '--out', metrics, '--out-item', 'metrics', '--amp') == 0
    predictions = pickle.loads(out.read_bytes())
    right = [float(one['pred_label'] == one['gt_label']) for one in predictions]
    assert len(predictions) == 20 and len(list(drawn.rglob('*.png'))) == 4
    # bfloat16 may turn one of twenty predictions, not more.
    assert abs(json.loads(metrics.read_text())['accuracy/top1'] - 100 * sum(right) / 20) <= 5


def test_tta_is_the_mean_over_the_image_and_its_mirror_image(small):
    flipped = small.folder / 'flipped.py'
    pipeline = "[dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=1.0), dict(type='PackInputs')]"
    flipped.write_text(f"_base_ = ['small.py']\ntest_dataloader = dict(dataset=dict(pipeline={pipeline}))\n")
    scores = []
    for config, options in [(small.config, []), (flipped, []), (small.config, ['--tta'])]:
        out = small.folder / f'scores_{len(scores)}.pkl'
        assert (
            tool('test.py', config, small.checkpoint, '--work-dir', small.folder / 'tta', '--out', out, *options) == 0
        )
        scores.append(torch.stack([one['pred_score'] for one in pickle.loads(out.read_bytes())]))
    plain, mirrored, both = scores
    assert (plain - mirrored).abs().max() > 1e-4
    torch.testing.assert_close(both, (plain + mirrored) / 2)


@pytest.mark.parametrize(
    'script, args', [('slurm_train.sh', ['cfg.py', 'work']), ('slurm_test.sh', ['cfg.py', 'a.pth'])]
)
def test_slurm_scripts_hand_everything_to_srun(tmp_path, script, args):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    env = {
        **os.environ,
        'PATH': f'{tmp_path}:{os.environ["PATH"]}',
        'GPUS': '4',
        'GPUS_PER_NODE': '2',
        'SRUN_ARGS': '--mem 8G',
    }
    words = subprocess.check_output(
        ['bash', ROOT / 'tools' / script, 'part', 'job', *args, '--seed', '1'], env=env, text=True
    )
    assert '-p part --job-name=job --gres=gpu:2 --ntasks=4 --ntasks-per-node=2' in words and '--mem 8G python' in words
    assert (
        words.split('.py', 1)[0].endswith(script[6:-3]) and '--launcher=slurm --seed 1' in words and 'cfg.py' in words
    )


def test_the_way_to_go_on_is_the_same_command(small, monkeypatch):
    own = [
        small.config,
        '--work-dir',
        small.checkpoint.parent,
        '--amp',
        '--seed',
        '5',
        '--cfg-options',
        'train_cfg.max_epochs=9',
    ]
    for resume in ([], ['--resume'], ['--resume', small.checkpoint], [f'--resume={small.checkpoint}']):
        monkeypatch.setattr(
            sys,
            'argv',
            ['tools/train.py', *map(str, [*resume[:1], *resume[1:], *own] if resume[1:] else [*own, *resume])],
        )
        module = runpy.run_path(str(ROOT / 'tools/train.py'))
        args = module['parse_args']()
        module['build_config'](args)
        assert module['how_to_go_on'](args) == f'Go on with: python tools/train.py {" ".join(map(str, own))} --resume'


def test_a_launcher_of_old_hands_its_rank_on(small, monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    monkeypatch.setattr(
        sys, 'argv', ['tools/test.py', str(small.config), 'none', '--launcher', 'pytorch', '--local_rank', '3']
    )
    runpy.run_path(str(ROOT / 'tools/test.py'))['parse_args']()
    assert os.environ.pop('LOCAL_RANK') == '3'


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--tta', '--show-dir', 'drawn'], 'Leave one of the two out'),
        (['--out', '/proc/results.pkl'], 'cannot be written'),
    ],
    ids=str,
)
def test_what_would_fail_behind_the_test_is_refused_before_it(small, capsys, options, words):
    assert words in refused(capsys, 'test.py', small.config, small.checkpoint, *options)
