"""States whose files lie: what is missing, of another type, out of range, or told otherwise elsewhere is refused in one
sentence that names it, before a run or a model is changed.
"""

import json
import shutil
from copy import deepcopy
from itertools import product
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file, save_file

from lies import HUGE, NAN, cases, keys, resume, words
from mmsparse.analysis.campaigns.damage import GONE, tell
from mmsparse.errors import InputError
from mmsparse.models.hosts.frozen_model import digest
from mmsparse.state.files import newest
from small_run import write_run
from small_state import copy_of, train

KINDS = (GONE, None, 'x', -1, [], {'x': 'y'})
COUNTS = (GONE, None, 'x', -1, HUGE, 1.5, [], True)
NUMBERS = (GONE, None, 'x', -1, NAN, [], 10**400)
TENSORS = (GONE, None, 'x', -1, [], {'x': 'y'})
INFO, GROUP, ENTRY = 'message_hub.runtime_info', 'optimizer.param_groups.0', 'optimizer.state.$dict.0.1'
SCHEDULE, AVERAGE = 'param_schedulers.1', 'ema_state_dict.module.head.fc.weight'

RESUME = {  # place in resume.json below state: the lies told there
    'meta': KINDS,
    'random': KINDS,
    'message_hub': KINDS,
    'optimizer': (*KINDS, {}, dict(state={}, param_groups=[])),
    'param_schedulers': (GONE, None, 'x', -1, [], [{}], [None], {'x': 'y'}),
    'ema_state_dict': (GONE, None, 'x', -1, [], {}),
    'meta.epoch': COUNTS,
    'meta.iter': COUNTS,
    'meta.batch': COUNTS,
    'meta.batches': (GONE, None, 'x', -1, 1.5, []),
    'meta.seed': ('x', -1, HUGE, 1.5, []),
    'meta.dataset_meta': (None, 'x', [], {}),
    'meta.dataset_meta.classes': (GONE, None, 'x', 3, ['class_0']),
    'message_hub.log_scalars': KINDS[:-1],
    'message_hub.runtime_info': (*KINDS, {}),
    'message_hub.resumed_keys': (*KINDS, {}),
    f'{INFO}.keep_ckpt_ids': ('x', -1, [HUGE], [-1], [None], {'x': 'y'}),
    f'{INFO}.superseded': ('x', -1, [None], {'x': 'y'}),
    f'{INFO}.last_ckpt': (-1, [], {'x': 'y'}),
    f'{INFO}.last_validated_iter': ('x', -1, HUGE, []),
    f'{INFO}.best_score': NUMBERS[:3] + NUMBERS[4:],
    f'{INFO}.best_ckpt': (GONE, None, -1, []),
    'random.python': KINDS,
    'random.python.$tuple.1.$tuple.0': (GONE, None, 'x', -1, HUGE, 1.5),
    'random.numpy': KINDS,
    'random.numpy.$tuple.0': (GONE, None, 'PCG64', -1, []),
    'random.numpy.$tuple.2': (GONE, None, 'x', -1, HUGE, 625, 1.5),
    'random.torch': KINDS,
    'optimizer.state': (*KINDS, {}),
    'optimizer.param_groups': KINDS,
    ENTRY: TENSORS,
    f'{ENTRY}.step': (*TENSORS, HUGE, NAN),
    f'{ENTRY}.exp_avg': TENSORS,
    f'{GROUP}.params': (*KINDS, [HUGE] * 2),
    f'{GROUP}.lr': NUMBERS,
    f'{GROUP}.betas': (*NUMBERS, [0.9], [0.9, 1.5]),
    f'{GROUP}.amsgrad': ('x', 7, []),
    SCHEDULE: KINDS,
    f'{SCHEDULE}.last_step': (GONE, None, 'x', -7, HUGE, 1.5, []),
    f'{SCHEDULE}._last_value': (GONE, None, 'x', -1, [], [NAN], [-1]),
    f'{SCHEDULE}.base_values': (GONE, None, 'x', -1, [], [NAN], [-1]),
    AVERAGE: TENSORS,
}

# what a sentence about a whole list calls it
OURS = dict(params='optimiser', param_groups='optimiser', param_schedulers='param_scheduler')


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """A run of three epochs, and its state after two."""
    folder = tmp_path_factory.mktemp('lying')
    config = write_run(folder, train=16, test=6)
    settings = dict(custom_hooks=[dict(type='EMAHook')])
    runner = train(config, 'run', **settings)
    state = folder / 'run/epoch_2'
    resume = json.loads((state / 'resume.json').read_text())
    return SimpleNamespace(folder=folder, config=config, runner=runner, state=state, resume=resume)


@pytest.fixture
def copy(world):
    state = world.folder / 'copies/epoch_2'
    if not state.exists():
        copy_of(world.state, state)
    yield state
    for file in world.state.iterdir():
        shutil.copyfile(file, state / file.name)


def test_an_honest_state_is_taken(world, copy):
    resume(world, copy)
    assert (world.runner.epoch, world.runner.iter) == (2, 4)
    assert newest(copy.parent) == copy


@pytest.mark.parametrize(('place', 'lie'), cases(RESUME))
def test_a_resume_file_that_lies_is_refused_by_the_name_of_its_entry(world, copy, place, lie):
    content = deepcopy(world.resume)
    tell(content['state'], keys(place), lie)
    (copy / 'resume.json').write_text(json.dumps(content))
    before = digest(dict(world.runner.model.named_parameters()))
    with pytest.raises(InputError) as error:
        resume(world, copy)
    said = str(error.value)
    assert said.startswith(str(copy)) and said.endswith('.')
    # without its numbers the tensors are left over; and what contains the lie may be named for it
    parts = place.removeprefix('message_hub.').split('.')
    assert any(part in said or OURS.get(part, part) in said for part in parts if len(part) > 3), said
    assert digest(dict(world.runner.model.named_parameters())) == before


def test_an_optimiser_that_is_emptied_with_its_tensors_is_refused(world, copy):
    """As somebody does who signs what is left."""
    content, tensors = deepcopy(world.resume), load_file(copy / 'resume.safetensors')
    content['state']['optimizer']['state'] = {}
    left = {name: value for name, value in tensors.items() if not name.startswith('optimizer.')}
    save_file(left, copy / 'resume.safetensors')
    (copy / 'resume.json').write_text(json.dumps(content | dict(sha256=digest(left))))
    with pytest.raises(InputError, match=r'optimizer\.state: received none after 4 steps, expected what AdamW keeps'):
        resume(world, copy)


def test_moments_that_are_no_numbers_are_refused(world, copy):
    tensors = load_file(copy / 'resume.safetensors')
    name = next(name for name in tensors if name.endswith('exp_avg'))
    tensors[name].fill_(float('inf'))
    save_file(tensors, copy / 'resume.safetensors')
    (copy / 'resume.json').write_text(json.dumps(world.resume | dict(sha256=digest(tensors))))
    with pytest.raises(InputError, match=r'exp_avg: received .*expected a tensor .* of finite numbers'):
        resume(world, copy)


def places(node, path=()):
    """Yield every path, of long lists and of many averages the first."""
    if path:
        yield path
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for key, item in items[: 3 if isinstance(node, list) or path == ('ema_state_dict',) else None]:
        yield from places(item, (*path, key))


def test_no_lie_at_any_place_ends_in_a_traceback(world, copy):
    """Some of the two thousand that these lies can be told at."""
    lies = (GONE, None, 'x', -1, HUGE, 1.5, [], {}, True, NAN, [None], {'x': 'y'})
    told = list(product(places(world.resume['state']), lies))[::29]
    assert len(told) > 60
    for path, lie in told:
        content = deepcopy(world.resume)
        tell(content['state'], list(path), lie)
        (copy / 'resume.json').write_text(json.dumps(content))
        try:
            resume(world, copy)
        except InputError:
            pass
        except Exception as error:
            raise AssertionError(f'{path}: {words(lie)}') from error
