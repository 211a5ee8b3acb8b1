"""A run that was stopped and resumed ends as the one that nobody disturbed: same weights, same metrics, with dropout,
crop and flip on.
"""

import json

import pytest
import torch

from mmsparse.state.files import read_resume, read_state
from mmsparse.state.pack import pack
from small_run import command, write_run

STOP = """
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class CtrlC(Hook):
    '''Presses Ctrl-C in the second epoch.'''
    def after_train_iter(self, runner, batch_idx, **kwargs):
        if runner.epoch == 1 and batch_idx == 2:
            raise KeyboardInterrupt
"""


def last_metrics(work_dir) -> dict:
    (scalars,) = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1:]
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    return {key: value for key, value in lines[-1].items() if 'accuracy' in key}


@pytest.mark.slow
def test_a_resumed_run_ends_like_an_undisturbed_one(tmp_path):
    config = write_run(tmp_path)
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    command('tools/train.py', config, '--work-dir', whole, folder=tmp_path)

    (tmp_path / 'stop.py').write_text(STOP)
    stopping = tmp_path / 'stopping.py'
    stopping.write_text(
        "_base_ = ['small.py']\ncustom_imports = dict(imports=['stop'])\ncustom_hooks = [dict(type='CtrlC')]\n"
    )
    stopped = command('tools/train.py', stopping, '--work-dir', parts, folder=tmp_path, status=130)
    assert f'--work-dir {parts} --resume' in stopped.stderr and 'Traceback' not in stopped.stderr
    resumed = command('tools/train.py', config, '--work-dir', parts, '--resume', folder=tmp_path)
    assert 'resumed epoch: 1' in resumed.stdout

    assert last_metrics(parts) == last_metrics(whole) != {}
    ours, expected = (read_state(run / 'epoch_3') for run in (parts, whole))
    assert ours.card.sha256 == expected.card.sha256
    assert ours.card.score == expected.card.score
    ours, expected = (read_resume(state) for state in (ours, expected))
    for key in ('best_score', 'epoch', 'iter', 'keep_ckpt_ids'):
        assert ours['message_hub']['runtime_info'][key] == expected['message_hub']['runtime_info'][key]
    for key in ('optimizer', 'param_schedulers'):
        (plain, tensors), (right, tensors_right) = pack(ours[key]), pack(expected[key])
        assert plain == right and tensors.keys() == tensors_right.keys()
        assert all(torch.equal(tensors[name], value) for name, value in tensors_right.items())
