"""Every mistake of the table ends in one sentence: what was received, what is expected, what to do."""

import errno
import os
import socket
import subprocess

import pytest
from mmengine.config import Config

import mistakes
from mmsparse.cli.options import parser
from mmsparse.cli.reporting import reporting
from mmsparse.config.check import check_config
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from small_run import ROOT, tool, write_images, write_run


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mistakes')
    config = write_run(folder)
    (folder / 'empty').mkdir()
    (folder / 'taken.pkl').mkdir()
    (folder / 'hollow/class_0').mkdir(parents=True)
    write_images(folder / 'others', 6)
    (folder / 'others/class_1').rename(folder / 'others/class_7')
    (folder / 'from_one.txt').write_text('class_0/000.png 1\nclass_1/001.png 2\nclass_2/002.png 3\n')
    (folder / 'from_zero.txt').write_text('class_0/000.png 0\nclass_1/001.png 1\nclass_2/002.png 2\n')
    (folder / 'beyond.txt').write_text('class_0/000.png 0\nclass_1/001.png 7\n')
    return config


def changed(config, entries: dict) -> Config:
    def placed(value):
        return value.format(folder=config.parent) if isinstance(value, str) else value

    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        {
            'work_dir': str(config.parent / 'work'),
            'experiment_name': str(len(str(entries))) + str(sorted(entries))[:40],
        }
    )
    cfg.merge_from_dict({key: placed(value) for key, value in entries.items()})
    return cfg


def judged(error, config, words) -> None:
    text = str(error.value)
    assert all(word.format(folder=config.parent) if '{folder}' in word else word in text for word in words), text
    assert '\n' not in text and text.endswith(('.', '?', '…')) and len(text) < 600, text


@pytest.mark.parametrize('name', mistakes.CONFIG)
def test_a_mistake_in_a_config(config, name):
    entries, *words = mistakes.CONFIG[name]
    with pytest.raises(InputError) as error:
        check_config(changed(config, entries))
    judged(error, config, words)


@pytest.mark.parametrize('name', mistakes.MODEL)
def test_a_mistake_that_the_built_network_shows(config, name):
    entries, *words = mistakes.MODEL[name]
    cfg = changed(config, entries)
    with pytest.raises(InputError) as error:
        SparseRunner.from_cfg(cfg)
    judged(error, config, words)


@pytest.mark.parametrize('name', mistakes.DATA)
def test_a_mistake_that_the_annotations_show(config, name, monkeypatch):
    entries, *words = mistakes.DATA[name]
    runner = SparseRunner.from_cfg(changed(config, entries))
    monkeypatch.setattr(
        SparseRunner, 'load_or_resume', lambda self: pytest.fail('nothing was said before the first batch')
    )
    with pytest.raises(InputError) as error:
        runner.train()
    judged(error, config, words)


@pytest.fixture(scope='module')
def run(config):
    """The folder of a finished run."""
    assert tool('train.py', config, '--work-dir', config.parent / 'run', '--no-validate') == 0
    return config.parent / 'run'


@pytest.mark.parametrize('name', mistakes.COMMAND)
def test_a_mistake_on_the_command_line(config, run, capfd, name):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        given = dict(folder=config.parent, config=config, run=run, taken=taken.getsockname()[1])
        command, *words = (text.format(**given) for text in mistakes.COMMAND[name])
        *settings, script, rest = command.partition(next(word for word in command.split() if '=' not in word))
        env = {**os.environ, **dict(setting.split('=') for setting in settings[0].split())}
        capfd.readouterr()
        if script.endswith('.sh'):
            assert (
                subprocess.run(['bash', ROOT / 'tools' / script, *rest.split()], env=env, cwd=config.parent).returncode
                == 2
            )
        else:
            assert tool(script, *rest.split()) == 2
    text = capfd.readouterr().err
    assert text.count('error:') == 1 and 'Traceback' not in text and all(word in text for word in words), text
    assert not list(config.parent.glob('work_dirs/*/epoch_*'))


@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.ENOSPC, 'No space left on device', 'run/epoch_1'),
        RuntimeError('I/O error: No space left on device (os error 28)'),
    ],
    ids=['file', 'safetensors'],
)
def test_a_full_disk(error, capsys):
    with pytest.raises(SystemExit) as end, reporting(lambda: ''):
        raise error
    text = capsys.readouterr().err
    assert end.value.code == 74 and 'the disk is full. Make room' in text and '--resume' in text


@pytest.mark.parametrize(
    ('written', 'value'),
    [
        ("a.b={'type': 'X', 'n': [1, {'m': 2.5}]}", {'type': 'X', 'n': [1, {'m': 2.5}]}),
        ("a.b=dict(type='X', n=(1, dict(m=None)))", {'type': 'X', 'n': [1, {'m': None}]}),
        ("a.b=[dict(type='X'), dict(type='Y')]", [{'type': 'X'}, {'type': 'Y'}]),
        ('a.b=[1,2]', [1, 2]),
        ('a.b=dictionary', 'dictionary'),
    ],
)
def test_a_dict_is_written_as_in_a_config(written, value):
    assert parser('').parse_args(['config.py', '--cfg-options', written, 'c=1']).cfg_options == {'a.b': value, 'c': 1}


def test_no_code_runs_in_an_option(capsys):
    with pytest.raises(SystemExit):
        parser('').parse_args(['config.py', '--cfg-options', "a=dict(b=__import__('os').getpid())"])
    assert 'KEY=VALUE' in capsys.readouterr().err
