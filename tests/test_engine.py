"""The hooks: what they stop, what they show and what they leave alone."""

import io
import logging
import random
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import worker_init_fn
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from rich.console import Console

from hosts import mmpretrain_vit, timm_host
from mmsparse.engine.hooks.epoch_seed import EpochSeedHook
from mmsparse.engine.hooks.start_card import cut_counts, outcome, stages
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from mmsparse.utils.terminal import screens
from small_classifier import classifier
from small_run import write_run


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp('engine'))


def train(config, name: str, **entries) -> SparseRunner:
    """Train in this process with some entries changed; `name` separates the loggers of the runs."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict({'work_dir': str(config.parent / name), 'experiment_name': name, **entries})
    runner = SparseRunner.from_cfg(cfg)
    runner.train()
    return runner


def log_of(runner) -> str:
    (path,) = (handler.baseFilename for handler in runner.logger.handlers if isinstance(handler, logging.FileHandler))
    return open(path).read()


def test_a_loss_that_is_not_finite_stops_the_run(config):
    with pytest.raises(
        InputError, match=r'epoch 1, iteration 2: loss = nan.*expected finite numbers.*lower learning rate'
    ):
        train(config, 'infinite', **{'optim_wrapper.optimizer.lr': 1e30, 'param_scheduler': None})
    assert not list((config.parent / 'infinite').glob('epoch_*'))


def test_mmengines_own_runner_is_refused_by_name(config):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(work_dir=str(config.parent / 'plain'), experiment_name='plain'))
    with pytest.raises(InputError, match=r"received MMEngine's Runner.*mmsparse\.SparseRunner\.from_cfg"):
        Runner.from_cfg(cfg).train()
    assert not list((config.parent / 'plain').glob('epoch_*'))


def test_validation_does_not_shift_what_training_draws(config):
    often, once = (train(config, f'every_{n}', **{'train_cfg.val_interval': n}) for n in (1, 3))
    for ours, expected in zip(often.model.parameters(), once.model.parameters()):
        assert torch.equal(ours, expected)


def test_each_epoch_and_each_process_draws_its_own_and_a_resumed_one_the_same():
    def draws(iteration, rank):
        loader = SimpleNamespace(worker_init_fn=partial(worker_init_fn, num_workers=1, rank=rank, seed=0))
        EpochSeedHook().before_train_epoch(SimpleNamespace(seed=5, iter=iteration, rank=rank, train_dataloader=loader))
        return random.random(), np.random.rand(), torch.rand(1).item(), loader.worker_init_fn.keywords['seed']

    cases = [draws(iteration, rank) for iteration in (0, 4, 8) for rank in (0, 1)]
    for values in zip(*cases):
        assert len(set(values)) == len(cases)
    assert draws(4, 1) == cases[3]


def test_without_a_terminal_cards_are_plain_lines_and_nothing_is_drawn(config, capsys):
    runner = train(config, 'plain')
    text = capsys.readouterr().out
    before, after = text.split('To be trained')
    assert len(before.splitlines()) <= 3 and 'Epoch(train) [3]' in after and 'Exp name' not in text
    for told in ('System environment', 'Hooks will be executed', 'default_hooks = dict('):
        assert told in log_of(runner) and told not in text
    assert '\x1b[?25l' not in text and '━' not in text and '╭' not in text
    for line in (
        'host       vit_tiny_patch16_224, 57,632 parameters, weights: random',
        'tokens     17, 14 from layer 2',
        'batch 8, float32, seed 0',
    ):
        assert line in text and line in log_of(runner)
    trains = sum(p.numel() for p in runner.model.parameters() if p.requires_grad)
    assert f'{trains:,} of' in text and f'{trains * 4 / 1024:,.0f} KiB' in text
    assert 'CustomDataset: 3 classes, 32 images for training, 20 for validation' in text
    best = runner.message_hub.get_info('best_score')
    assert (
        f'best        {best:.4g} at epoch' in text
        and str(config.parent / 'plain/epoch_3') in text
        and 'img/s (median)' in text
    )


def test_on_a_terminal_one_line_lives_and_the_log_goes_to_the_file(config, capsys, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    drawn = io.StringIO()
    for module in ('engine.hooks.progress', 'utils.terminal'):
        monkeypatch.setattr(f'mmsparse.{module}.Console', lambda: Console(file=drawn, force_terminal=True, width=140))
    runner = train(config, 'drawn')
    text = drawn.getvalue()
    assert 'To be trained' in text and '╭' in text and 'Trained' in text
    assert 'epoch 3/3' in text and '12/12' in text and 'img/s' in text and '0:00:00 left' in text and 'lr ' in text
    assert 'validation, epoch 3: accuracy/top1' in text.replace('\x1b[2K', '')
    for epoch in (1, 2, 3):
        assert re.search(rf'epoch {epoch}/3: loss \d', text)
    assert '\x1b[2K' in text[text.rindex('━') : text.index('Trained')], 'a bar is left behind'
    lines = log_of(runner)
    assert 'Epoch(train) [3]' in lines and 'Epoch(val) [3]' in lines and 'tokens     17' in lines
    assert 'Epoch(train)' not in capsys.readouterr().out + text
    assert [handler.level for handler in screens(runner.logger)] == [logging.INFO]


def test_only_the_first_process_draws(config, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    drawn = io.StringIO()
    for module in ('engine.hooks.progress', 'utils.terminal'):
        monkeypatch.setattr(f'mmsparse.{module}.Console', lambda: Console(file=drawn, force_terminal=True))
    monkeypatch.setattr('mmengine.runner.Runner.rank', property(lambda self: 1))
    train(config, 'second')
    assert drawn.getvalue() == ''


def test_stages_name_the_layers_where_tokens_change():
    assert stages(197, [197, 197, 139, 139, 98]) == '197, 139 from layer 3, 98 from layer 5'
    assert stages(17, [17, 17]) == '17'


def test_a_model_that_is_no_sparse_vit_is_trained_and_described(config, capsys):
    vit = mmpretrain_vit(width=32, depth=1, heads=2, out_type='cls_token', _delete_=True)
    train(config, 'other', **{'model.backbone': vit})
    text = capsys.readouterr().out
    assert '(100.00%)' in text and 'recipe' in text and '    tokens' not in text


@pytest.mark.parametrize(
    ('parts', 'side', 'row'),
    [
        ([dict(type='mmsparse.ToMe', r=2)], 32, None),
        (
            [dict(type='mmsparse.ToMe', r=4)],
            32,
            'ToMe merges 15 of 24 pairs asked for; by layer 4, 4, 4, 2, 1, 0. At most half',
        ),
        ([dict(type='mmsparse.ToMe', r=4)], 64, None),
        ([dict(type='mmsparse.PYRA', r=2)], 16, 'PYRA merges 3 of 12 pairs asked for; by layer 2, 1, 0, 0, 0, 0.'),
        (
            [
                dict(type='mmsparse.EViT', layers=(1,), keep_rate=0.25),
                dict(type='mmsparse.ToMe', r=[0, 3, 0, 0, 0, 0]),
            ],
            32,
            'ToMe merges 2 of 3',
        ),
        (
            [
                dict(type='mmsparse.DynamicViT', layers=(4,), keep_rates=(0.25,)),
                dict(type='mmsparse.ToMe', r=[1, 1, 0, 0, 0, 0]),
            ],
            32,
            None,
        ),
    ],
)
def test_the_card_says_where_fewer_pairs_merge_than_were_asked_for(parts, side, row):
    """Counted in the run: at this size of images, after the other methods."""
    model = classifier(parts, host=timm_host(dynamic_img_size=True))
    found = cut_counts(model, torch.zeros(1, 3, side, side))
    assert found == {} if row is None else found['cut'].startswith(row)
    assert model.training and not model.backbone.encoder._forward_pre_hooks


def test_a_runner_that_user_code_builds_refuses_a_misspelt_config(config):
    cfg = Config.fromfile(config)
    cfg.model.backbone.sparsifier.keep_rat = 0.5
    with pytest.raises(InputError, match='keep_rat'):
        SparseRunner.from_cfg(cfg)


def test_data_that_make_no_batch_are_refused(config):
    with pytest.raises(
        InputError, match='32 images make no batch of 64 with drop_last=True. Set a smaller batch_size'
    ):
        train(config, 'no_batch', **{'train_dataloader.batch_size': 64, 'train_dataloader.drop_last': True})


@HOOKS.register_module()
class StopAt(Hook):
    def __init__(self, iteration: int):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def by_iteration(config, name, **entries) -> SparseRunner:
    cfg = Config.fromfile(config)
    cfg.train_cfg = dict(by_epoch=False, max_iters=6, val_interval=3)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.train_dataloader.dataset.pipeline = [
        step for step in cfg.train_dataloader.dataset.pipeline if 'Random' not in step.type
    ]
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint = dict(type='mmsparse.CheckpointHook', by_epoch=False, interval=2)
    cfg.merge_from_dict({'work_dir': str(config.parent / name), 'experiment_name': name, **entries})
    return SparseRunner.from_cfg(cfg)


def test_a_run_by_iterations_resumes_as_if_nobody_had_stopped_it(config):
    """With dropout; the resumed run is told another seed, and goes on with the one that it began with."""
    whole = by_iteration(config, 'whole')
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        by_iteration(config, 'parts', custom_hooks=[dict(type='StopAt', iteration=5)]).train()
    resumed = by_iteration(
        config, 'resumed', **{'load_from': str(config.parent / 'parts/iter_4'), 'resume': True, 'randomness.seed': 7}
    )
    resumed.train()
    for (name, ours), expected in zip(resumed.model.named_parameters(), whole.model.parameters()):
        assert torch.equal(ours, expected), name


def test_a_validation_amid_iterations_gives_the_line_back(config, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    drawn = io.StringIO()
    for module in ('engine.hooks.progress', 'utils.terminal'):
        monkeypatch.setattr(f'mmsparse.{module}.Console', lambda: Console(file=drawn, force_terminal=True, width=140))
    by_iteration(config, 'amid').train()
    text = drawn.getvalue()
    assert 'iterations' in text and '6/6' in text and 'validation, iteration 3' in text.replace('\x1b[2K', '')


def test_a_schedule_that_holds_a_function_is_saved_and_resumed(config):
    schedule = [dict(type='OneCycleLR', eta_max=1e-2, total_steps=12, by_epoch=False)]
    whole = train(config, 'one_cycle', param_scheduler=schedule)
    with pytest.raises(KeyboardInterrupt):
        train(config, 'one_cycle_part', param_scheduler=schedule, custom_hooks=[dict(type='StopAt', iteration=9)])
    again = train(
        config,
        'one_cycle_again',
        param_scheduler=schedule,
        load_from=str(config.parent / 'one_cycle_part/epoch_2'),
        resume=True,
    )
    for ours, expected in zip(again.model.parameters(), whole.model.parameters()):
        assert torch.equal(ours, expected)


def test_the_best_epoch_is_that_of_the_state_not_of_its_folder():
    known = dict(best_ckpt='/runs/tiny_epoch_20/best_accuracy_epoch_3', best_score=0.5)
    rows = outcome(SimpleNamespace(message_hub=SimpleNamespace(runtime_info=known)), {})
    assert rows['best'].startswith('0.5 at epoch 3')
