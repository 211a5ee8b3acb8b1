"""Train once, serve at many keep rates: one checkpoint, read by the documented command at three of them."""

import re
import runpy
import sys

import pytest
import torch
from mmengine.config import Config

from mmsparse.models.necks import base, evit
from small_run import ROOT

CONFIG = 'configs/sparsify/tiny_supervit_digits.py'
SMALL = [f'{split}_dataloader.dataset.indices={count}' for split, count in dict(train=100, val=40, test=40).items()]


def run(monkeypatch, tool, *args, options=()):
    """Run a tool in this process, with the shipped config on few images and a host whose weights are drawn."""
    words = [
        f'tools/{tool}.py',
        str(ROOT / CONFIG),
        *map(str, args),
        '--cfg-options',
        'model.backbone.host.checkpoint=False',
        *SMALL,
        *options,
    ]
    monkeypatch.setattr(sys, 'argv', words)
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(ROOT / words[0]), run_name='__main__')
    finally:
        torch.set_num_threads(threads)


def documented() -> list[str]:
    """The options of the commands in the README."""
    commands = re.findall(
        rf'^python tools/test.py {CONFIG} CHECKPOINT --cfg-options (\S+)$',
        (ROOT / 'configs/sparsify/README.md').read_text(),
        re.M,
    )
    return [option for option in commands if option.startswith('model.backbone.sparsifier.keep_rate=')]


@pytest.mark.slow
def test_one_checkpoint_is_read_at_every_documented_rate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kept = []
    monkeypatch.setattr(evit, 'kept', lambda patches, rate: kept.append((patches, rate)) or base.kept(patches, rate))
    run(
        monkeypatch,
        'train',
        '--work-dir',
        tmp_path / 'run',
        options=['train_cfg.max_epochs=2', 'train_cfg.val_interval=2', 'param_scheduler=None'],
    )
    assert len({rate for _, rate in kept}) > 1 and len({patches for patches, rate in kept if rate == 1.0}) > 1, (
        'rates and sizes are drawn'
    )

    scores, rates = {}, [float(option.split('=')[1]) for option in documented()]
    assert rates == [0.5, 0.7, 0.9]
    for option, rate in zip(documented(), rates):
        kept.clear()
        capsys.readouterr()
        run(monkeypatch, 'test', tmp_path / 'run/epoch_2', options=[option])
        text = capsys.readouterr().out
        assert {asked for _, asked in kept} == {rate}
        assert {patches for patches, _ in kept} >= {64}, 'the configured size of images'
        assert ('the config wins over the card where they differ' in text) == (rate != 0.7), text[-3000:]
        scores[rate] = float(re.findall(r'accuracy/top1\D+([\d.]+)', text)[-1])
    assert all(0 <= score <= 100 for score in scores.values())


@pytest.mark.parametrize('option', documented())
def test_the_documented_options_name_what_the_config_has(option):
    path = option.split('=')[0].split('.')
    node = Config.fromfile(ROOT / CONFIG)
    for key in path:
        node = node[key]
    assert node == 0.7
