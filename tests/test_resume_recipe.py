"""A state goes on under the recipe that it began with, plain weights are loaded whole, and a disk that refuses loses
nothing.
"""

import errno
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from safetensors.torch import save_file

from mmsparse.errors import InputError
from mmsparse.state import files, folder
from mmsparse.state.files import read_state
from mmsparse.state.saved_tensors import adapter_tensors
from small_run import write_images, write_run
from small_state import copy_of, train

OURS = [
    dict(type='mmsparse.WarmupLR', share=0.25, by_epoch=False),
    dict(type='mmsparse.CosineLR', after=0.25, by_epoch=False),
]
BASE = {'param_scheduler': OURS, 'train_cfg.max_epochs': 2}


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    config = write_run(tmp_path_factory.mktemp('recipe'))
    runner = train(config, 'whole', **BASE)
    return SimpleNamespace(config=config, runner=runner, state=config.parent / 'whole/epoch_1', folder=config.parent)


def resumed(small, **entries):
    return train(small.config, 'resumed', **{**BASE, 'load_from': str(small.state), 'resume': True, **entries})


SGD = dict(type='SGD', lr=1e-2)
REFUSED = {
    'another optimiser': (
        {'optim_wrapper.optimizer': dict(_delete_=True, **SGD)},
        'optim_wrapper.optimizer.type was AdamW, received SGD',
    ),
    'other groups': (
        {'optim_wrapper.paramwise_cfg': dict(bias_decay_mult=0.0), 'optim_wrapper.optimizer.weight_decay': 0.01},
        r'its optimiser has 1 groups of \d+ parameters, the config makes',
    ),
    'accumulation': (
        {'optim_wrapper.accumulative_counts': 2},
        'optim_wrapper.accumulative_counts was absent, received 2',
    ),
    'no schedules': ({'param_scheduler': None}, 'its run has 2 schedules, param_scheduler makes 0'),
    'one schedule': ({'param_scheduler': OURS[:1]}, 'its run has 2 schedules, param_scheduler makes 1'),
    'schedules in another order': (
        {'param_scheduler': OURS[::-1]},
        r'param_scheduler\[0\] \(CosineLR\) has T_max=absent in its run',
    ),
    'another kind': (
        {'param_scheduler': [OURS[0], dict(type='PolyLR', begin=2, by_epoch=False)]},
        r'param_scheduler\[1\] \(PolyLR\) has ',
    ),
    'longer': (
        {'train_cfg.max_epochs': 4},
        r'param_scheduler\[0\] \(WarmupLR\) has total_iters=1 in its run and 3 by the config',
    ),
    'larger batches': (
        {'train_dataloader.batch_size': 16},
        r'by the config, which another kind, train_cfg or batch size makes',
    ),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_a_recipe_that_a_state_cannot_go_on_with_is_refused(small, kind):
    entries, words = REFUSED[kind]
    with pytest.raises(InputError, match=words) as error:
        resumed(small, **entries)
    assert 'load_from=STATE' in str(error.value) and str(small.state) in str(error.value)


def test_a_run_that_is_over_is_not_gone_back_into(small):
    with pytest.raises(
        InputError, match='has finished epoch 2, iteration 8, but the config ends at epoch 1, iteration 4'
    ):
        resumed(small, load_from=str(small.state.with_name('epoch_2')), **{'train_cfg.max_epochs': 1})


def test_what_is_ignored_is_said_and_the_run_ends_as_it_would_have(small):
    other = {
        'optim_wrapper.optimizer.lr': 1e-4,
        'optim_wrapper.optimizer.weight_decay': 0.5,
        'train_cfg.val_interval': 2,
    }
    runner = resumed(small, **other)
    for ours, expected in zip(runner.model.parameters(), small.runner.model.parameters()):
        assert torch.equal(ours, expected)
    text = runner_log(small)
    assert 'optim_wrapper.optimizer.lr: 0.01 in the state, 0.0001 in the config; the state wins' in text
    assert 'optim_wrapper.optimizer.weight_decay: absent in the state, 0.5 in the config; the state wins' in text
    assert (
        'train_cfg.val_interval: 1 in the state, 2 in the config; the config wins' in text
        and 'load_from=STATE' in text
    )


def runner_log(small) -> str:
    return max((small.folder / 'resumed').glob('*/*.log')).read_text()


def test_a_run_without_schedules_may_become_longer(small):
    train(small.config, 'constant', **{'param_scheduler': None, 'train_cfg.max_epochs': 1})
    longer = {'param_scheduler': None, 'train_cfg.max_epochs': 2}
    parts = train(small.config, 'constant', resume=True, **longer)
    whole = train(small.config, 'constant_whole', **longer)
    assert parts.iter == 8 and all(
        torch.equal(*pair) for pair in zip(parts.model.parameters(), whole.model.parameters())
    )


def test_a_new_head_for_other_classes_starts_from_the_adapter(small, tmp_path):
    for split in ('train', 'test'):
        write_images(tmp_path / split, 20, classes=5)
    other = {
        f'{name}_dataloader.dataset.data_root': str(tmp_path / split)
        for name, split in (('train', 'train'), ('val', 'test'))
    }
    other |= {
        'model.head.num_classes': 5,
        'data_preprocessor.num_classes': 5,
        'train_cfg.max_epochs': 1,
        'param_scheduler': None,
    }
    other |= {'optim_wrapper.optimizer.lr': 1e-9, 'load_from': str(small.state)}
    with pytest.raises(InputError, match='trained for the classes.*load_from=STATE new_head=True'):
        train(small.config, 'old_head', **other)
    runner = train(small.config, 'new_head', new_head=True, **other)
    state, model = read_state(small.state).tensors, runner.model.state_dict()
    adapter = [name for name in state if not name.startswith('head.')]
    assert adapter and all(torch.allclose(model[name], state[name], rtol=0, atol=1e-6) for name in adapter)
    assert model['head.fc.weight'].shape[0] == 5
    with pytest.raises(InputError, match='a run goes on with its own head'):
        resumed(small, new_head=True)


def prefixed(prefix):
    return lambda runner: {prefix + name: value for name, value in runner.model.state_dict().items()}


def host_alone(runner):
    return {name: value for name, value in runner.model.state_dict().items() if '.host.' in name}


def merged_lora(runner):
    """What merge_adapter.py writes for the runner's host: keys of timm."""
    model = runner.model
    return {
        **model.backbone.host.state_dict(),
        **{f'head.{name}': value for name, value in model.head.fc.state_dict().items()},
    }


def another_head(runner):
    return {
        name: value[:2] if name == 'head.fc.weight' else value for name, value in runner.model.state_dict().items()
    }


UNFIT = {
    'a host': (merged_lora, 'holds a host alone, perhaps with an adapter merged into it'),
    'a classifier of mmpretrain': (
        lambda _: {
            'backbone.layers.0.ln1.weight': torch.ones(3),
            'head.fc.weight': torch.ones(3, 32),
            'head.fc.bias': torch.ones(3),
        },
        'holds a classifier of mmpretrain',
    ),
    'another architecture': (
        lambda _: timm.create_model('resnet10t').state_dict(),
        'holds the weights of another network',
    ),
    'frozen weights': (host_alone, 'holds frozen weights alone'),
    'another head': (another_head, r'of another shape: head.fc.weight \(2, 32\) for \(3, 32\)'),
    'more than the model': (
        lambda runner: {**runner.model.state_dict(), 'neck.weight': torch.ones(1)},
        'unexpected: neck.weight',
    ),
    'an adapter of peft': (
        lambda _: {'base_model.model.blocks.0.attn.qkv.lora_A.weight': torch.ones(2, 2)},
        'holds an adapter of the peft library',
    ),
    'nothing': (lambda _: {}, 'no named tensors are in it'),
}


@pytest.mark.parametrize('kind', UNFIT)
def test_a_file_without_all_that_trains_is_refused_and_named(small, tmp_path, kind):
    make, words = UNFIT[kind]
    torch.save(make(small.runner), tmp_path / 'file.pth')
    before = {name: value.clone() for name, value in small.runner.model.state_dict().items()}
    with pytest.raises(InputError, match=words):
        small.runner.load_checkpoint(str(tmp_path / 'file.pth'))
    assert all(torch.equal(value, before[name]) for name, value in small.runner.model.state_dict().items())


def test_the_tensors_beside_a_state_are_refused_and_named(small):
    with pytest.raises(InputError, match='holds what a run needs to go on.*name the folder'):
        small.runner.load_checkpoint(str(small.state / 'resume.safetensors'))


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', 'model.', 'module._orig_mod.'])
@pytest.mark.parametrize('part', [lambda model: model.state_dict(), adapter_tensors], ids=['whole', 'trained'])
def test_a_whole_model_is_loaded_under_the_names_of_its_wrappers(small, tmp_path, prefix, part):
    model = small.runner.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_file(
        {prefix + name: value + name.startswith('head') for name, value in part(model).items()},
        tmp_path / 'file.safetensors',
    )
    try:
        small.runner.load_checkpoint(str(tmp_path / 'file.safetensors'))
        assert torch.equal(model.head.fc.bias, before['head.fc.bias'] + 1)
    finally:
        model.load_state_dict(before)


@pytest.mark.parametrize('number', [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_a_folder_that_cannot_be_flushed_does_not_stop_a_save(small, tmp_path, monkeypatch, number):
    """Windows opens no folder, and network shares flush none; files are flushed strictly."""
    flushed, real = [], os.open

    def opens(path, *flags):
        if Path(path).is_dir():
            raise OSError(number, os.strerror(number))
        flushed.append(Path(path).name)
        return real(path, *flags)

    monkeypatch.setattr(folder.os, 'open', opens)
    state = read_state(small.state)
    files.write_state(tmp_path / 'epoch_1', state.tensors, state.card, {'epoch': 1})
    assert read_state(tmp_path / 'epoch_1').card == state.card and set(flushed) == folder.FILES
    monkeypatch.setattr(folder.os, 'fsync', lambda _: refuse(number))
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        files.write_state(tmp_path / 'epoch_2', state.tensors, state.card)


def refuse(number):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_and_the_last_state_stays(small, monkeypatch, number):
    name, write, written = f'full_{number}', Path.write_bytes, []

    def fills_up(path, content):
        written.append(path)
        # two files of each epoch, and of the best
        return write(path, content) if len(written) <= 6 else refuse(number)

    monkeypatch.setattr(Path, 'write_bytes', fills_up)
    with pytest.raises(
        InputError, match=rf'{name}: cannot be written to .*{os.strerror(number)}.*states in it are whole.*--resume'
    ):
        train(small.config, name, **{**BASE, 'train_cfg.max_epochs': 3})
    left = sorted(one.name for one in (small.folder / name).iterdir() if 'epoch' in one.name)
    assert left and not any(one.startswith('.') for one in left)
    for one in left:
        read_state(small.folder / name / one).verify()


def test_a_work_folder_that_vanishes_is_made_again_or_named(small, monkeypatch):
    """Either way no state is half there."""

    class Vanish(Hook):
        def before_train_epoch(self, runner):
            shutil.rmtree(runner.work_dir)
            Path(runner.work_dir).write_text('in the way')

    monkeypatch.setitem(HOOKS.module_dict, 'Vanish', Vanish)
    with pytest.raises(InputError, match='vanished: cannot be written to'):
        train(small.config, 'vanished', custom_hooks=[dict(type='Vanish')], **BASE)


def test_a_copy_of_a_state_without_its_optimiser_is_named(small, tmp_path):
    state = copy_of(small.state, tmp_path / 'epoch_1')
    content = files.read_resume(read_state(state))
    content.pop('optimizer')
    files.write_state(state, read_state(state).tensors, read_state(state).card, content)
    with pytest.raises(InputError, match='what resume needs is not whole, it lacks optimizer'):
        resumed(small, load_from=str(state))


@pytest.mark.parametrize(
    ('entry', 'words'),
    [
        (dict(random=[]), 'random: received'),
        (dict(message_hub='x'), "message_hub: received 'x'"),
        (dict(meta=dict(epoch=1)), 'it lacks meta.iter'),
        (dict(meta=dict(epoch=-1, iter=4)), "meta.epoch: received '-1'"),
        (dict(optimizer=dict(state={}, param_groups=[{}])), 'it lacks param_groups.0.params'),
    ],
)
def test_a_resume_file_of_another_form_names_its_entry(small, tmp_path, entry, words):
    """Generators that are a list, for one, ended in a TypeError once the weights had been changed."""
    state = copy_of(small.state, tmp_path / 'epoch_1')
    content = files.read_resume(read_state(state)) | entry
    files.write_state(state, read_state(state).tensors, read_state(state).card, content)
    with pytest.raises(InputError, match=words) as error:
        resumed(small, load_from=str(state))
    assert str(state) in str(error.value)
