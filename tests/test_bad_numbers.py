"""A number that is none stops a run before the step that it would spoil, wherever it comes from, and no state holds one."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmsparse.analysis.campaigns.numbers import spoil
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from mmsparse.state.files import read_state
from mmsparse.state.folder import states
from small_run import write_run


@HOOKS.register_module()
class Spoil(Hook):
    """Puts a number that is none somewhere, in one iteration, and notes the weights before each step."""

    def __init__(self, where: str, value: float, iteration: int):
        self.where, self.value, self.iteration = where, value, iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        trains = [each for each in runner.model.parameters() if each.requires_grad]
        if runner.iter == self.iteration:
            spoil(self.where, self.value, runner, trains, data_batch)
        runner.before = [each.detach().clone() for each in trains]


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('bad'), train=24, test=4)  # three batches an epoch, nine in all


SETTINGS = {
    'plain': {},
    'clipping': {'optim_wrapper.clip_grad': dict(max_norm=1.0)},
    'accumulation': {'optim_wrapper.accumulative_counts': 2},
}


@pytest.mark.parametrize(('setting', 'iteration'), [('plain', 3), ('plain', 8), ('clipping', 8), ('accumulation', 8)])
@pytest.mark.parametrize('where', ['input', 'weight', 'gradient', 'loss', 'learning rate'])
def test_no_step_follows_a_number_that_is_none(config, where, setting, iteration):
    """In the last iteration too (8)."""
    value = math.nan if iteration == 3 else math.inf
    cfg = Config.fromfile(config)
    name = f'{where}_{setting}_{iteration}'.replace(' ', '_')
    cfg.custom_hooks = [dict(type='Spoil', where=where, value=value, iteration=iteration)]
    cfg.merge_from_dict({'work_dir': str(config.parent / name), 'experiment_name': name, **SETTINGS[setting]})
    for quiet in ('card', 'progress'):
        cfg.default_hooks.pop(quiet)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = SparseRunner.from_cfg(cfg)
    with pytest.raises(InputError, match=rf'^Training stopped at epoch {iteration // 3 + 1}, iteration \d+: '):
        runner.train()
    trains = [each for each in runner.model.parameters() if each.requires_grad]
    for ours, before in zip(trains, runner.before):
        torch.testing.assert_close(ours.detach(), before, rtol=0, atol=0, equal_nan=True)
    assert len(states(config.parent / name)) == min(iteration // 3, 2)
    for state in states(config.parent / name):
        assert all(value.isfinite().all() for value in read_state(state).tensors.values())
