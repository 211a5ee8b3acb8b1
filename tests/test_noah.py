"""NOAH's super-network, its sub-networks and their search: slices, draws, records that survive a kill, and the file that
retraining reads.
"""

import json
import runpy

import numpy as np
import pytest
import torch
from mmengine.config import Config

from hosts import DEPTH, WIDTH, assert_near, build, draw, images_for, timm_host
from mmsparse.engine.evolution_search import FOUND, RECORD, EvolutionSearchLoop
from mmsparse.engine.hooks.random_subnet import RandomSubnetHook
from mmsparse.engine.runner import SparseRunner
from mmsparse.errors import InputError
from mmsparse.models.adapters.search_space import MODULES, SearchSpace
from mmsparse.state.files import read_state
from small_classifier import classifier, step
from small_run import ROOT, write_run

SIZES = (1, 3, 4)
NOAH = dict(type='mmsparse.NOAH', sizes=SIZES)
SUBNET = dict(prompts=[2, 0, 4, 1, 3, 0], lora=[0, 3, 1, 4, 1, 0], adapter=[1, 4, 0, 2, 3, 0])
SPACE = SearchSpace('NOAH', SIZES, DEPTH, WIDTH)
SEARCH = dict(type='mmsparse.EvolutionSearchLoop', generations=3, population=4, parents=2, mutants=2, crosses=1)


def test_a_sub_network_is_the_first_prompts_and_channels_of_the_super_network():
    whole, part = build(adapter=NOAH), build(adapter=dict(NOAH, subnet=SUBNET))
    theirs = dict(whole.adapters[0].named_parameters())
    with torch.no_grad():
        for name, own in part.adapters[0].named_parameters():
            own.copy_(theirs[name][tuple(map(slice, own.shape))])
        full = whole(images_for())[-1]
        whole.adapters[0].choose(SUBNET)
        found = whole(images_for())[-1]
        assert_near(found, part(images_for())[-1])
        whole.adapters[0].choose(None)
        assert whole(images_for())[-1].equal(full) and found.shape != full.shape
    assert whole.adapters[0].count(SUBNET) == sum(own.numel() for own in part.adapters[0].parameters())


@pytest.mark.parametrize('with_cp', [False, True])
def test_every_parameter_gets_a_gradient_and_what_is_not_in_the_sub_network_one_of_zero(with_cp):
    model = draw(classifier(dict(type='mmsparse.EViT', layers=(2, 4), keep_rate=0.7), NOAH, with_cp=with_cp))
    noah = model.backbone.adapters[0]
    noah.choose(SUBNET)
    step(model)
    for layer in range(1, DEPTH + 1):
        for name, parameter in noah.layers[str(layer)].named_parameters():
            module = name.split('.')[0]
            size, first = SUBNET[module][layer - 1], parameter.grad
            axis = 0 if 'down' in name or module == 'prompts' else 1
            if name == 'adapter.up.bias':
                assert first.any() == (size > 0)
                continue
            inside, outside = first.split([size, first.shape[axis] - size], dim=axis)
            assert not outside.any() and (size == 0 or inside.any()), (layer, name)


def test_what_is_drawn_is_a_sub_network_and_uniform():
    random = np.random.default_rng(0)
    drawn = [SPACE.drawn(random) for _ in range(600)]
    for module in MODULES:
        depths = [sum(size > 0 for size in subnet[module]) for subnet in drawn]
        assert sorted(set(depths)) == [2, 3, 5, 6] and all(120 < depths.count(depth) < 180 for depth in set(depths))
        first = [subnet[module][0] for subnet in drawn]
        assert sorted(set(first)) == [1, 3, 4] and all(160 < first.count(size) < 240 for size in SIZES)
    for one, other in zip(drawn, drawn[1:]):
        for child in (SPACE.mutated(one, random, 0.2, 0.4), SPACE.crossed(one, other, random)):
            assert SPACE.checked(child) == child
            for sizes in child.values():
                assert sorted(sizes, key=bool, reverse=True) == sizes and sizes[0], 'later layers have none'
        assert all(sizes in (one[module], other[module]) for module, sizes in child.items())
    assert SPACE.mutated(drawn[0], random, 0.0, 0.0) == drawn[0]


def test_depths_are_quarters_of_the_host():
    assert SearchSpace('NOAH', (1, 5, 10), 12, 768).depths == [3, 6, 9, 12]
    assert SearchSpace('NOAH', (1,), 3, 32).depths == [1, 2, 3]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(sizes=(1, 49)), r'NOAH: received sizes=\(1, 49\), expected different integers from 1 to 48'),
        (dict(sizes=(1, 1)), r'NOAH: received sizes=\(1, 1\)'),
        (dict(sizes=5), 'NOAH: received sizes=5'),
        (dict(dropout=1.0), r'NOAH: dropout must lie in \[0, 1\)'),
        (
            dict(subnet=dict(SUBNET, lora=[5] * 6)),
            r'NOAH: received subnet=.* one per layer, from 0 to 4, which the su',
        ),
        (dict(subnet=dict(SUBNET, lora=[1] * 5)), 'for each a list of 6 sizes'),
        (dict(subnet=dict(SUBNET, lora=[True] * 6)), 'for each a list of 6 sizes'),
        (dict(subnet=dict(prompts=[1] * 6)), 'expected prompts, lora, adapter'),
        (dict(subnet='nowhere.json'), r"subnet='nowhere.json': no sub-network can be read there .*No such file"),
        (dict(subnet='search.yaml'), 'the name does not end in .json'),
    ],
)
def test_bad_input_is_refused_when_it_is_built(options, message):
    with pytest.raises(InputError, match=message):
        build(adapter=NOAH | options)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A config of a small run with a super-network, and the folder of a state of it."""
    config = write_run(tmp_path_factory.mktemp('noah'))
    runner = runner_of(config, 'supernet', custom_hooks=[dict(type='mmsparse.RandomSubnetHook')])
    runner.train()
    return config, runner, config.parent / 'supernet/epoch_3'


def runner_of(config, name, adapter=NOAH, **entries):
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(work_dir=str(config.parent / name), experiment_name=name, **entries))
    cfg.model.backbone.adapter = adapter
    return SparseRunner.from_cfg(cfg)


def search(run, name, seed=0, **options):
    config, _, state = run
    return runner_of(config, name, load_from=str(state), randomness=dict(seed=seed), test_cfg=SEARCH | options)


def test_a_run_draws_by_seed_and_position_and_validates_all(run):
    config, runner, _ = run
    noah, (hook,) = (
        runner.model.backbone.adapters[0],
        [hook for hook in runner.hooks if isinstance(hook, RandomSubnetHook)],
    )
    assert noah.active == noah.space.whole and len(runner.train_dataloader) == 4
    drawn = []
    for iteration in (0, 1, 0):
        runner.train_loop._iter = iteration
        hook.before_train_iter(runner, 0)
        drawn.append(noah.active)
    assert drawn[0] == drawn[2] != drawn[1]
    hook.after_train_iter(runner, 0)
    with pytest.raises(InputError, match='RandomSubnetHook: the model has one sub-network alone, expected a super-'):
        runner_of(
            config,
            'alone',
            dict(NOAH, subnet=noah.space.smallest),
            custom_hooks=[dict(type='mmsparse.RandomSubnetHook')],
        ).train()


def test_a_search_goes_on_after_a_kill_as_it_would_have(run, monkeypatch):
    tried, score = [], EvolutionSearchLoop._score
    monkeypatch.setattr(
        EvolutionSearchLoop, '_score', lambda self, subnet: tried.append(subnet) or score(self, subnet)
    )
    undisturbed = search(run, 'undisturbed')
    metrics = undisturbed.test()
    folder = run[0].parent
    record, found = (json.loads((folder / 'undisturbed' / name).read_text()) for name in (RECORD, FOUND))
    best = max(value for _, value in record['scores'])
    assert metrics == {'accuracy/top1': best} and [found, best] in record['scores']
    assert tried == [subnet for subnet, _ in record['scores']] and len(tried) == len({*map(json.dumps, tried)}) == 12
    # alone, the best one answers as in the search
    retrained = runner_of(run[0], 'found', dict(NOAH, subnet=str(folder / 'undisturbed' / FOUND)))
    noah = retrained.model.backbone.adapters[0]
    assert noah.built == found and retrained.cfg.model.backbone.adapter.subnet == found

    expected, tried[:] = list(tried), []

    def killed(self, subnet):
        if len(tried) == 6:
            raise KeyboardInterrupt
        tried.append(subnet)
        return score(self, subnet)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(EvolutionSearchLoop, '_score', killed)
        search(run, 'killed').test()
    assert not (folder / 'killed' / FOUND).exists()
    search(run, 'killed').test()
    assert tried == expected, 'none twice, none left out'
    for name in (RECORD, FOUND):
        assert (folder / 'killed' / name).read_text() == (folder / 'undisturbed' / name).read_text()


def test_the_record_of_another_search_is_refused(run):
    search(run, 'other', generations=1, population=1).test()
    for options, what in ((dict(population=2), 'population'), (dict(seed=1), 'seed')):
        with pytest.raises(InputError, match=f'{RECORD} .*the record of a search with other {what}.*Move it away'):
            search(run, 'other', **(dict(generations=1, population=1) | options)).test()
    (run[0].parent / 'other' / RECORD).write_text('{"search": {')
    with pytest.raises(InputError, match=f'{RECORD} .*JSONDecodeError'):
        search(run, 'other', generations=1, population=1).test()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(max_parameters=100), 'received max_parameters=100, but the smallest sub-network has 257. Set a higher'),
        (dict(population=0), 'EvolutionSearchLoop: received population=0'),
        (dict(metric='mIoU', generations=1), r"received metric='mIoU', expected one of \('accuracy/top1'"),
    ],
)
def test_a_search_that_cannot_end_well_is_refused(run, options, message):
    with pytest.raises(InputError, match=message):
        search(run, f'refused_{next(iter(options))}', **options).test()


def test_a_search_wants_a_trained_super_network(run):
    config, *_ = run
    with pytest.raises(InputError, match='EvolutionSearchLoop: received no trained super-network. Name its state'):
        runner_of(config, 'untrained', test_cfg=SEARCH).test()
    with pytest.raises(InputError, match='EvolutionSearchLoop: the model has no mmsparse.NOAH, expected a super-net'):
        runner_of(config, 'lora', dict(type='mmsparse.LoRA'), test_cfg=SEARCH).test()


def test_a_found_sub_network_is_on_the_card_by_its_sizes(run):
    config, *_ = run
    sizes = {module: [1, 0, 3, 4] for module in MODULES}
    (config.parent / 'found.json').write_text(json.dumps(sizes))
    runner = runner_of(config, 'retrain', dict(NOAH, subnet=str(config.parent / 'found.json')))
    runner.train()
    card = read_state(config.parent / 'retrain/epoch_3').card
    assert card.config['model']['backbone']['adapter']['subnet'] == sizes


def test_random_ones_are_of_the_size_of_the_found_one(tmp_path):
    tool = runpy.run_path(str(ROOT / 'tools/analysis_tools/random_subnets.py'))
    cfg = Config.fromfile(ROOT / 'configs/peft/tiny_noah_digits.py')
    found = SearchSpace('NOAH', (1, 5, 10), 12, 128).drawn(np.random.default_rng(1))
    (tmp_path / 'subnet.json').write_text(json.dumps(found))
    first, *others = tool['subnets'](cfg, str(tmp_path / 'subnet.json'), 10)
    noah = build(timm_host(width=128, depth=12, heads=4), dict(type='mmsparse.NOAH')).adapters[0]
    assert first == found and len(others) == 10 == len({*map(json.dumps, others)})
    assert all(abs(noah.count(other) / noah.count(found) - 1) <= 0.02 for other in others)
