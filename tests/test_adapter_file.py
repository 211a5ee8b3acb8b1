"""The adapter file: what it holds, that it loads to the same logits, and that whatever is not it is refused with
nothing executed.
"""

import os
import pickle
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from safetensors.torch import load_file, save_file

from hosts import build
from mmsparse import load
from mmsparse.errors import InputError
from mmsparse.state.files import newest, read_resume, read_state
from mmsparse.state.saved_tensors import adapter_tensors, fingerprints, unwrapped
from small_run import ROOT, write_run
from small_state import change_card, change_tensors, copy_of, train


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A config, the runner that trained it, and its last state."""
    folder = tmp_path_factory.mktemp('adapter_file')
    config = write_run(folder)
    runner = train(config, 'trained', **{'train_cfg.max_epochs': 2})
    return SimpleNamespace(folder=folder, config=config, runner=runner, state=folder / 'trained/epoch_2')


def status_of(small, *args) -> int:
    """Run tools/test.py in this process and return its exit status."""
    before, sys.argv = (
        sys.argv,
        ['tools/test.py', *map(str, (small.config, *args, '--work-dir', small.folder / 'tested'))],
    )
    try:
        runpy.run_path(str(ROOT / 'tools/test.py'), run_name='__main__')
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = before
    return 0


def test_it_holds_what_trains_and_buffers_outside_the_host_and_little_more(small):
    model = small.runner.model
    trains = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    path = small.state / 'adapter.safetensors'
    tensors = load_file(path)
    assert tensors.keys() == trains and not any('.host.' in name for name in trains)
    assert path.stat().st_size <= 1.05 * sum(value.nbytes for value in tensors.values()) + 8 * 1024


def test_running_statistics_outside_the_host_are_kept(small):
    model = small.runner.model
    model.head.norm = torch.nn.BatchNorm1d(4)
    try:
        assert {'head.norm.running_mean', 'head.norm.num_batches_tracked'} < adapter_tensors(model).keys()
    finally:
        del model.head.norm


def test_where_a_part_of_the_host_trains_that_part_is_kept_and_leaves_the_fingerprint():
    backbone = build('timm')
    backbone.view.filed = {}  # as if read from a file: of a drawn host the seed counts
    (before,) = fingerprints(backbone).values()
    backbone.host.blocks[1].norm1.weight.requires_grad_(True)
    assert adapter_tensors(backbone).keys() == {'host.blocks.1.norm1.weight'}
    (between,) = fingerprints(backbone).values()
    backbone.host.blocks[1].norm1.weight.data += 1
    (after,) = fingerprints(backbone).values()
    assert before['fingerprint'] != between['fingerprint'] == after['fingerprint']
    backbone.host.blocks[1].norm2.weight.data += 1
    assert fingerprints(backbone)['host']['fingerprint'] != after['fingerprint']


FRESH = """
import sys
import mmsparse
assert not {'torch', 'mmengine', 'timm', 'numpy'} & sys.modules.keys(), 'importing the package alone must stay cheap'
model = mmsparse.load(sys.argv[1])
import torch
assert not model.training and model.card.classes == ['class_0', 'class_1', 'class_2'] and model.card.epoch == 2
torch.save(model(torch.linspace(-1, 1, 3 * 3 * 32 * 32).view(3, 3, 32, 32)), sys.argv[2])
"""


def test_a_fresh_process_gives_identical_logits(small, tmp_path):
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, '-c', FRESH, small.state, tmp_path / 'logits'], env=env, cwd=tmp_path, check=True)
    small.runner.model.eval()
    expected = small.runner.model(torch.linspace(-1, 1, 3 * 3 * 32 * 32).view(3, 3, 32, 32))
    assert torch.equal(torch.load(tmp_path / 'logits', weights_only=True), expected)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ('pwned',)


def flip(position):
    def damage(state):
        path = state / 'adapter.safetensors'
        data = bytearray(path.read_bytes())
        data[position(data)] ^= 1
        path.write_bytes(data)

    return damage


def rewrite(change):
    def damage(state):
        path = state / 'adapter.safetensors'
        path.write_bytes(change(path.read_bytes()))

    return damage


def other_host(card):
    card['frozen']['backbone.host']['fingerprint'] = '0' * 64


def shift(tensors):
    tensors['head.fc.weight'] = tensors['head.fc.weight'][:, :-1].contiguous()


DAMAGES = {
    'truncated': (rewrite(lambda data: data[:-100]), 'damaged or cut short'),
    'empty': (rewrite(lambda data: b''), 'damaged or cut short'),
    'header byte': (flip(lambda data: data.index(b'head.fc')), 'SHA-256|unexpected'),
    'data byte': (flip(lambda data: len(data) - 9), 'SHA-256'),
    'missing key': (lambda state: change_tensors(state, lambda t: t.pop('head.fc.bias')), 'missing: head.fc.bias'),
    'extra key': (lambda state: change_tensors(state, lambda t: t.update(more=torch.zeros(1))), 'unexpected: more'),
    'wrong shape': (
        lambda state: change_tensors(state, shift),
        r'of another shape: head.fc.weight \(3, 31\) for \(3, 32\)',
    ),
    'wrong dtype': (
        lambda state: change_tensors(state, lambda t: t.update({'head.fc.bias': t['head.fc.bias'].half()})),
        'of another type: head.fc.bias torch.float16 for torch.float32',
    ),
    'other host': (
        lambda state: change_card(state, other_host),
        r'belongs to another host: its card says vit_tiny_patch16_224 \(000000000000\)',
    ),
    'hostile pickle': (rewrite(lambda data: pickle.dumps(Hostile())), 'damaged or cut short'),
    'dotted path': (
        lambda state: change_card(
            state, lambda card: card['config']['model']['head'].update(type='os.mkdir', path='pwned')
        ),
        r"model.head.type is 'os.mkdir' on the card",
    ),
}


@pytest.mark.parametrize('damage, reason', DAMAGES.values(), ids=DAMAGES)
def test_eleven_of_eleven_damaged_files_are_refused_by_the_tool_and_by_load(
    small, tmp_path, monkeypatch, capsys, damage, reason
):
    state = copy_of(small.state, tmp_path / 'damaged')
    damage(state)
    monkeypatch.chdir(tmp_path)
    assert status_of(small, state / 'adapter.safetensors') == 2
    text = capsys.readouterr().err
    assert text.count('error:') == 1 and 'Traceback' not in text and str(state / 'adapter.') in text
    with pytest.raises(InputError, match=reason) as refused:
        load(state)
    assert str(state / 'adapter.') in str(refused.value)
    assert re.search(reason, text), text
    assert not (tmp_path / 'pwned').exists()


def test_flipped_bits_of_the_header_are_refused_or_mean_nothing(small, tmp_path):
    state = copy_of(small.state, tmp_path / 'flipped')
    path = state / 'adapter.safetensors'
    data, expected = path.read_bytes(), load_file(path)
    for position in (*range(8), *range(8, 8 + int.from_bytes(data[:8], 'little'), 5)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found = read_state(state)
            found.verify()
        except InputError:
            continue
        assert found.tensors.keys() == expected.keys() and all(
            torch.equal(found.tensors[key], expected[key]) for key in expected
        ), position


@pytest.mark.parametrize('card', ['', '{', '[]', '{"schema": 2}', '{"schema": 1}', '[' * 100_000, '\xff'])
def test_a_card_that_is_none_is_refused_by_name(small, tmp_path, card):
    state = copy_of(small.state, tmp_path / 'state')
    (state / 'adapter.json').write_text(card, encoding='latin-1')
    with pytest.raises(InputError, match='adapter.json: '):
        load(state)
    (state / 'adapter.json').unlink()
    with pytest.raises(InputError, match='no card beside the tensors'):
        load(state / 'adapter.safetensors')


def test_the_config_wins_and_what_differs_is_printed(small, capsys):
    assert status_of(small, small.state, '--cfg-options', 'model.backbone.sparsifier.keep_rate=0.5') == 0
    text = capsys.readouterr().out
    assert (
        'model.backbone.sparsifier.keep_rate: 0.7 on the card, 0.5 here' in text and text.count(' on the card, ') == 1
    )
    assert status_of(small, small.state / 'adapter.safetensors', '--tta') == 0
    assert ' on the card, ' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('entries', 'reason'),
    [
        (['model.backbone.host.depth=5'], 'model.backbone.host.depth is 4 on its card, 5 in the config'),
        (['model.backbone.host.num_heads=4'], 'model.backbone.host.num_heads is 2 on its card, 4 in the config'),
        (['data_preprocessor.mean=[0.,0.,0.]'], 'but the config normalises with'),
        (['data_preprocessor.to_rgb=False'], 'but the config normalises with'),
        (
            ["test_dataloader.dataset.metainfo.classes=['a','b','c']"],
            "trained for the classes ['class_0', 'class_1', 'class_2'], but the data has",
        ),
        (['model.backbone.adapter.bottleneck=5'], 'of another shape'),
        (['model.backbone.adapter.norm=in'], 'Tensors missing'),
    ],
)
def test_what_must_agree_with_the_card_is_named_where_it_does_not(small, capsys, entries, reason):
    assert status_of(small, small.state, '--cfg-options', *entries) == 2
    text = capsys.readouterr().err
    assert reason in text and str(small.state / 'adapter.safetensors') in text


def test_other_weights_of_the_same_host_are_refused(small, tmp_path, capsys):
    weights = {key: value + 0.01 for key, value in small.runner.model.backbone.host.state_dict().items()}
    save_file(weights, tmp_path / 'host.safetensors')
    assert (
        status_of(small, small.state, '--cfg-options', f'model.backbone.host.checkpoint={tmp_path}/host.safetensors')
        == 2
    )
    assert 'belongs to another host' in capsys.readouterr().err


def test_resume_refuses_the_best_state_and_plain_weights(small):
    (best,) = (small.folder / 'trained').glob('best_*')
    with pytest.raises(InputError, match='saved without what resume needs'):
        read_resume(read_state(best))
    with pytest.raises(InputError, match='expects the folder of a state'):
        small.runner.resume('weights.pth')


def test_plain_weights_are_read_without_unpickling_anything(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {key: value + key.startswith('head') for key, value in small.runner.model.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(epoch=1)), 'good.pth')
    (tmp_path / 'bad.pth').write_bytes(pickle.dumps(Hostile()))
    before = {key: value.clone() for key, value in small.runner.model.state_dict().items()}
    try:
        small.runner.load_checkpoint('good.pth')
        assert torch.equal(small.runner.model.head.fc.bias, before['head.fc.bias'] + 1)
        with pytest.raises(InputError, match='bad.pth: not a plain file of tensors'):
            small.runner.load_checkpoint('bad.pth')
        with pytest.raises(InputError, match='unknown kind'):
            small.runner.load_checkpoint('s3://bucket/a.pth')
    finally:
        small.runner.model.load_state_dict(before)
    assert not (tmp_path / 'pwned').exists()


@pytest.mark.parametrize('pointer', [None, '', 'nowhere/epoch_9', '\0\xff'])
def test_resume_finds_the_newest_complete_state_whatever_the_pointer_says(small, tmp_path, pointer):
    run = tmp_path / 'run'
    for epoch in (1, 2):
        copy_of(small.folder / f'trained/epoch_{epoch}', run / f'epoch_{epoch}')
    if pointer is not None:
        (run / 'last_checkpoint').write_text(pointer)
    assert newest(run) == run / 'epoch_2'
    copy_of(run / 'epoch_2', run / '.epoch_3.writing')
    (run / 'epoch_2/resume.safetensors').write_bytes(b'')
    warnings = []
    assert newest(run, warnings.append) == run / 'epoch_1'
    assert 'epoch_2/resume.safetensors' in warnings[0]
    (run / 'epoch_1/adapter.json').unlink()
    with pytest.raises(InputError, match='all are damaged'):
        newest(run)
    assert newest(tmp_path / 'empty') is None


def test_an_empty_pointer_does_not_mean_the_present_folder(small, tmp_path, monkeypatch):
    monkeypatch.chdir(small.folder / 'trained')
    for text in ('', 'epoch_2', '\0'):
        (tmp_path / 'last_checkpoint').write_text(text)
        assert newest(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text(str(small.state))
    assert newest(tmp_path) == small.state


def test_the_moving_average_is_what_the_adapter_holds_and_training_goes_on_with_both(small):
    hook = dict(custom_hooks=[dict(type='EMAHook', momentum=0.5, strict_load=True)])
    whole = train(small.config, 'ema_whole', **hook, **{'train_cfg.max_epochs': 2})
    copy_of(small.folder / 'ema_whole/epoch_1', small.folder / 'ema_parts/epoch_1')
    parts = train(small.config, 'ema_parts', **hook, **{'train_cfg.max_epochs': 2, 'resume': True})
    states = [read_state(small.folder / f'ema_{name}/epoch_2') for name in ('whole', 'parts')]
    (ema,) = (one for one in whole.hooks if isinstance(one, EMAHook))
    averaged, present = ema.ema_model.module.state_dict(), unwrapped(whole.model).state_dict()
    for key, value in states[0].tensors.items():
        assert torch.equal(value, averaged[key]) and torch.equal(value, states[1].tensors[key])
        assert torch.equal(unwrapped(parts.model).state_dict()[key], present[key])
    assert any(not torch.equal(averaged[key], present[key]) for key in states[0].tensors)
    assert not any('.host.' in str(key) for key in read_resume(states[0])['ema_state_dict'])
