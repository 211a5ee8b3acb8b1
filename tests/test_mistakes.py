"""Every mistake of the table ends in one sentence: what was received, what is expected, what to do."""

import pytest
from mmengine.config import Config

import mistakes
from mmsparse.config_check import check_config
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from small_run import write_images, write_run


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mistakes')
    config = write_run(folder)
    (folder / 'empty').mkdir()
    (folder / 'hollow/class_0').mkdir(parents=True)
    write_images(folder / 'others', 6)
    (folder / 'others/class_1').rename(folder / 'others/class_7')
    (folder / 'from_one.txt').write_text('class_0/000.png 1\nclass_1/001.png 2\nclass_2/002.png 3\n')
    (folder / 'beyond.txt').write_text('class_0/000.png 0\nclass_1/001.png 7\n')
    return config


def changed(config, entries: dict) -> Config:
    def placed(value):
        return value.format(folder=config.parent) if isinstance(value, str) else value

    cfg = Config.fromfile(config)
    cfg.merge_from_dict({'work_dir': str(config.parent / 'work'), 'experiment_name': str(len(str(entries))) + str(sorted(entries))[:40]})
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
    monkeypatch.setattr(SparseRunner, 'load_or_resume', lambda self: pytest.fail('nothing was said before the first batch'))
    with pytest.raises(InputError) as error:
        runner.train()
    judged(error, config, words)
