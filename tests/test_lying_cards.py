"""Cards and peft files that lie: names of other classes, a pipeline that is none or asks for the whole memory, wrong
types and patterns without end are refused in one sentence, on every path that reads them.
"""

import json
import shutil
from contextlib import suppress
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config

import mmsparse
from lies import HUGE, cases, keys, resume
from mmsparse.analysis.campaigns.damage import GONE, places, tell
from mmsparse.apis.adapted import adapted, build_classifier
from mmsparse.convert.peft_format import from_peft, to_peft
from mmsparse.errors import InputError
from small_run import write_run
from small_state import copy_of, train

KINDS = (GONE, None, 'x', -1, [], {'x': 'y'})
PIPELINE = 'config.test_dataloader.dataset.pipeline'
CARD = {  # refused by every reader
    'schema': (*KINDS, 2),
    'sha256': (GONE, None, -1, []),
    'frozen': (*KINDS, {}),
    'normalisation': KINDS,
    'normalisation.mean': (GONE, None, 'x', -1, [], [None] * 3, [1.0]),
    'normalisation.to_rgb': (GONE, None, 'yes', 1, []),
    'classes': (GONE, 'x', -1, [], ['a', 'b'], list('abcd'), [{'a': 1}] * 3, [1, 2, 3], [None] * 3),
    'score': (GONE, None, 'x', -1, {'x': 'y'}),
    'epoch': (GONE, None, '2', -1, 1.5, [], True),
    'iter': (GONE, None, '4', -1, 1.5, [], True),
    'saved': (GONE, None, -1, []),
    'versions': (GONE, None, 'x', -1, {'torch': 2}),
    'config': (GONE, None, 'x', -1, []),
}
LOAD, PACK = dict(type='LoadImageFromFile'), dict(type='PackInputs')
PIPELINES = {
    'gone': GONE,
    'none': None,
    'a name': 'LoadImageFromFile',
    'a mapping': {'0': LOAD},
    'numbers': [1, 2],
    'names': ['LoadImageFromFile', 'PackInputs'],
    'without types': [{'scale': 32}],
    'empty': [],
    'nothing packed': [LOAD],
    'something else packed': [LOAD, dict(PACK, input_key='nothing')],
    'loaded twice': [LOAD, LOAD, PACK],
    'endless': [LOAD, *[dict(type='RandomFlip', prob=0.5)] * 20_000, PACK],
    **{
        f'{step} of a million': [LOAD, dict(type=step, **{key: value}), PACK]
        for step, key in dict(Resize='scale', ResizeEdge='scale', CenterCrop='crop_size', Pad='size').items()
        for value in [[10**6, 10**6] if step in ('Resize', 'Pad') else 10**6]
    },
    'a hundred thousand times': [LOAD, dict(type='Resize', scale_factor=1e5), PACK],
    'infinite': [LOAD, dict(type='Resize', scale=float('inf')), PACK],
    'below nothing': [LOAD, dict(type='Resize', scale=-1), PACK],
    'hidden': [LOAD, dict(type='TestTimeAug', transforms=[[dict(type='Resize', scale=10**6)], [PACK]])],
}


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lying')
    config = write_run(folder, train=9, test=6)
    runner = train(config, 'run', **{'train_cfg.max_epochs': 1, 'param_scheduler': None})
    state = folder / 'run/epoch_1'
    card = json.loads((state / 'adapter.json').read_text())
    model = adapted(Config.fromfile(config), state)
    return SimpleNamespace(folder=folder, config=config, runner=runner, state=state, card=card, model=model)


@pytest.fixture
def copy(world):
    state = copy_of(world.state, world.folder / 'copies/epoch_1')
    yield state
    shutil.rmtree(state.parent)


def load_from(world, state):
    world.runner._resume = False
    world.runner.load_checkpoint(str(state))


READERS = {
    'load': lambda world, state: mmsparse.load(state),  # also tools/infer.py
    'load_from': load_from,  # also tools/test.py
    'resume': resume,
    'merge': lambda world, state: adapted(Config.fromfile(world.config), state),  # also lora_to_peft.py
}


def refused(world, state, path, lie, reader, *words):
    content = deepcopy(world.card)
    tell(content, path, lie)
    (state / 'adapter.json').write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        READERS[reader](world, state)
    said = str(error.value)
    assert said.endswith('.') and all(word in said for word in words), said


def test_an_honest_card_is_taken(world, copy):
    for reader in READERS.values():
        reader(world, copy)


@pytest.mark.parametrize(('place', 'lie'), cases(CARD))
def test_a_card_that_lies_is_refused(world, copy, place, lie):
    word = {'frozen': '', 'normalisation': 'normal', 'config': ''}.get(place.split('.')[0])
    refused(world, copy, keys(place), lie, 'load', keys(place)[0] if word is None else word)


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('lie', [['a', 'b'], list('abcd'), [{'a': 1}] * 3, 'abc'], ids=str)
def test_names_of_other_classes_are_refused_on_every_path(world, copy, lie, reader):
    """Two names for three outputs: every name behind the missing one would stand for another class."""
    refused(world, copy, ['classes'], lie, reader, 'classes')


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('depth', [300, 3000, 100_000])
def test_a_card_that_is_nested_without_end_is_refused_on_every_path(world, copy, depth, reader):
    text = json.dumps(dict(world.card, config={'model': 0}))
    (copy / 'adapter.json').write_text(text.replace('{"model": 0}', '{"model": ' + '[' * depth + ']' * depth + '}'))
    with pytest.raises(InputError, match='the card cannot be read'):
        READERS[reader](world, copy)


@pytest.mark.parametrize('name', PIPELINES)
def test_a_pipeline_that_is_none_or_takes_all_memory_is_refused(world, copy, name):
    content = deepcopy(world.card)
    tell(content, PIPELINE.split('.'), PIPELINES[name])
    (copy / 'adapter.json').write_text(json.dumps(content))
    model = mmsparse.load(copy)
    with pytest.raises(InputError, match='pipeline'):
        model.predict(np.zeros((32, 32, 3), np.uint8))


def test_no_lie_about_the_model_ends_in_a_traceback(world, copy):
    told = [(path, lie) for path, _ in places(world.card['config']['model'], ('config', 'model')) for lie in KINDS]
    for path, lie in told[::8]:
        content = deepcopy(world.card)
        tell(content, list(path), lie)
        (copy / 'adapter.json').write_text(json.dumps(content))
        try:
            with suppress(InputError):
                mmsparse.load(copy).predict(np.zeros((32, 32, 3), np.uint8))
        except Exception as error:
            raise AssertionError(f'{path}: {lie}') from error


PEFT = {
    'r': (GONE, None, '2', 2.5, 0, -1, HUGE, 3, [], True),
    'lora_alpha': (GONE, None, '4', [], True, float('nan'), float('inf'), 1e300),
    'rank_pattern': ('x', 7, [], {'a': 'b'}, {'(a+)+': 2}),
    'alpha_pattern': ('x', 7, [], {'a': 'b'}, {'(a+)+': 2}),
    'target_modules': (7, {}, [1], '(a+)+b', '(([a-z])+.)+Z', '.*a.*b.*c.*d', '(a|a)*$', 'a' * 3000),
    'exclude_modules': (7, {}, [1], '(a+)+b'),
}


@pytest.fixture(scope='module')
def lora(world):
    cfg = Config.fromfile(world.config)
    cfg.model.backbone.adapter = dict(type='mmsparse.LoRA', rank=2, alpha=4)
    model = build_classifier(cfg)
    return SimpleNamespace(model=model, files=to_peft(model))


def test_an_honest_peft_file_is_taken(lora):
    config, tensors = lora.files
    from_peft(json.loads(json.dumps(config)), tensors, lora.model, 'peft')
    for pattern in (r'.*\.(qkv|proj)', 'all-linear', ['qkv'], r'blocks\.\d+\.attn\.qkv'):
        from_peft({**config, 'target_modules': pattern}, tensors, lora.model, 'peft')


@pytest.mark.parametrize(('place', 'lie'), cases(PEFT))
def test_a_peft_file_that_lies_is_refused_by_the_name_of_its_entry(lora, place, lie):
    config, tensors = deepcopy(lora.files)
    tell(config, [place], lie)
    with pytest.raises(InputError, match=f'^peft: .*{place}'):
        from_peft(config, tensors, lora.model, 'peft')
